package httpapi

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/projection"
	"github.com/tellonce/hub/eventstore"
)

func (s *server) erasureRoutes() {
	refusals := slices.Concat(repeatCodes, []string{citizen.CodeUnknownPerson, citizen.CodeAlreadyErased, citizen.CodeLegalHold})
	register(s, me(route{
		method: http.MethodPost, path: "/v1/me/erasure", id: "erase", summary: "Have everything erased that may be erased",
		description: "What you told is closed at once and for ever: its keys are destroyed. What a law keeps is named, with its last day. Ministries " +
			"that were told get a notice. It can't be undone.",
		codes: refusals,
	}), s.eraseSelf)
	register(s, me(route{
		method: http.MethodGet, path: "/v1/me/export", id: "export", summary: "Everything that the hub holds on you",
		description: "Every record about you with its content, what was handed over to whom, who looked and why, and how long each is kept.",
		codes:       []string{codeNotFound},
	}), s.export)
	register(s, route{
		method: http.MethodPost, path: "/v1/erasures", id: "eraseFor", tag: "persons", roles: []journal.Role{journal.RoleClerk, journal.RoleRegistrar},
		summary: "Erase a person at their request", body: erasureBody{}, codes: refusals,
	}, s.eraseFor)
	holders := []journal.Role{journal.RoleOfficer}
	register(s, route{
		method: http.MethodPut, path: "/v1/holds", id: "hold", tag: "audit", roles: holders, summary: "Keep a person's records from being erased",
		description: "While an authority needs them. Who it is stays sealed; the person is told only that an order stands.",
		body:        holdBody{}, codes: slices.Concat(repeatCodes, []string{citizen.CodeUnknownPerson, citizen.CodeAlreadyErased}),
	}, s.hold)
	register(s, route{
		method: http.MethodPost, path: "/v1/holds/lift", id: "liftHold", tag: "audit", roles: holders, summary: "End an authority's hold",
		body: liftBody{}, codes: slices.Concat(repeatCodes, []string{citizen.CodeUnknownPerson, citizen.CodeNoSuchHold}),
	}, s.liftHold)
	register(s, route{
		method: http.MethodGet, path: "/v1/retention", id: "retention", tag: "audit", roles: holders, summary: "What is erased by schedule, and when",
		description: "Counts by day and retention class: nobody is named.",
	}, s.retention)
}

type erasureOutput struct{ Body erasureResult }

// erasureResult is the receipt of an erasure, with its proof.
type erasureResult struct {
	Receipt  string     `json:"receipt" example:"7ZK3M9QX2B4D"`
	Position int64      `json:"position" example:"4711" doc:"of the erasure on the log"`
	Erased   []int16    `json:"erased" doc:"retention classes that are gone: 1 what was told"`
	Kept     []keptLine `json:"kept" doc:"what must stay, and until when"`
	Keys     []keyLine  `json:"keys" doc:"the proof: each destroyed key has its own record on the log"`
	// What is outside by now, or on its way.
	InFlightUntil time.Time    `json:"in_flight_until" doc:"what had been let out before may arrive until then; nothing after it"`
	HandedOver    []handedOver `json:"handed_over,omitempty" doc:"what may have been handed over before, by stream; said to the person alone"`
}

type keptLine struct {
	Class    int16    `json:"class" example:"2" doc:"1 what was told, 2 proof of sharing, 3 who looked, 4 messages"`
	Until    string   `json:"until,omitempty" format:"date" doc:"the last day; left out: until an order ends"`
	Law      string   `json:"law" enum:"retention,legal-hold"`
	Sentence bilingue `json:"sentence"`
}

type keyLine struct {
	Class int16 `json:"class" example:"1" doc:"0: the secret of the ids by which ministries knew the person"`
	Key   int64 `json:"key" example:"12" doc:"its reference"`
}

// eraseSelf is POST /v1/me/erasure.
func (s *server) eraseSelf(ctx context.Context, in *Repeatable) (*erasureOutput, error) {
	id, err := maybeCommandID(in.Key)
	if err != nil {
		return nil, err
	}
	out, err := s.erase(ctx, s.command(ctx, id, journal.ChannelWeb, []byte("POST /v1/me/erasure")), self(ctx))
	if err != nil {
		return nil, err
	}
	out.Body.HandedOver, err = s.handedOver(ctx, self(ctx), "", out.Body.Position)
	return out, err
}

func (s *server) erase(ctx context.Context, c command.Command, id citizen.ID) (*erasureOutput, error) {
	e, err := s.Command.Erase(ctx, c, id)
	if err != nil {
		return nil, err
	}
	until, err := s.inFlightUntil(ctx, e.Position)
	if err != nil {
		return nil, err
	}
	out := &erasureOutput{Body: erasureResult{
		Receipt: e.Receipt, Position: e.Position, Erased: classes(e.Erased.Classes), Kept: []keptLine{}, Keys: []keyLine{}, InFlightUntil: until,
	}}
	for _, k := range e.Erased.Kept {
		class := int16(k.Class)
		out.Body.Kept = append(out.Body.Kept, keptLine{Class: class, Until: k.Until, Law: k.Law, Sentence: bilingue{
			EN: citizen.KeptSentence(class, k.Law, "en"), FR: citizen.KeptSentence(class, k.Law, "fr"),
		}})
	}
	for _, k := range e.Keys {
		out.Body.Keys = append(out.Body.Keys, keyLine{Class: int16(k.Class), Key: k.Key})
	}
	return out, nil
}

func classes(in []eventstore.Class) []int16 {
	out := make([]int16, len(in))
	for i, class := range in {
		out[i] = int16(class)
	}
	return out
}

// erasureBody is the body of an erasure on somebody's behalf, for the document.
type erasureBody struct {
	_       struct{}  `additionalProperties:"false"`
	Person  personRef `json:"person"`
	Channel string    `json:"channel,omitempty" enum:"counter,phone,post" default:"counter"`
}

// eraseFor is POST /v1/erasures.
func (s *server) eraseFor(ctx context.Context, in *Repeatable) (*erasureOutput, error) {
	var channel journal.Channel
	c, id, err := s.aboutPerson(ctx, in.Key, "POST /v1/erasures", func(o *object) { channel = readChannel(o) })
	if err != nil {
		return nil, err
	}
	c.Channel = channel
	out, err := s.erase(ctx, c, id)
	return out, relocate(err, "/person", "/person/reference")
}

// holdBody is the body of a legal hold, for the document.
type holdBody struct {
	_         struct{}   `additionalProperties:"false"`
	Person    *personRef `json:"person,omitempty"`
	Receipt   string     `json:"receipt,omitempty" doc:"or: the receipt number of a change of theirs, which leads also to who was erased"`
	Authority string     `json:"authority" doc:"who ordered it, and the order's number: 1 to 200 characters"`
	Classes   []string   `json:"classes" doc:"facts, evidence, accesses, contact"`
	Until     string     `json:"until,omitempty" format:"date" doc:"the last day; left out: until it is lifted"`
}

var classNames = map[string]eventstore.Class{
	"facts": eventstore.Facts, "evidence": eventstore.Evidence, "accesses": eventstore.AccessTrail, "contact": eventstore.Contact,
}

func isAuthority(text string) bool {
	return text != "" && len(text) <= 200 && strings.TrimSpace(text) == text
}

// hold is PUT /v1/holds.
func (s *server) hold(ctx context.Context, in *Repeatable) (*positionOutput, error) {
	var hold journal.LegalHoldSet
	c, id, err := s.about(ctx, in.Key, "PUT /v1/holds", readAnyone, func(o *object) {
		hold.Authority = o.text("authority", true, isAuthority, "must be 1 to 200 characters")
		hold.Until = o.text("until", false, func(text string) bool { _, err := consent.ParseDate(text); return err == nil }, "must be a date, YYYY-MM-DD")
		for _, name := range o.texts("classes") {
			class, ok := classNames[name]
			if !ok {
				o.wrong("classes", "must be some of facts, evidence, accesses, contact")
			}
			hold.Classes = append(hold.Classes, class)
		}
	})
	if err != nil {
		return nil, err
	}
	out, err := positioned(s.Command.Hold(ctx, c, id, hold))
	return out, relocate(err, "/data", "", "/person", "/person/reference")
}

// liftBody is the body that ends a hold, for the document.
type liftBody struct {
	_         struct{}   `additionalProperties:"false"`
	Person    *personRef `json:"person,omitempty"`
	Receipt   string     `json:"receipt,omitempty" doc:"or: the receipt number of a change of theirs, which leads also to who was erased"`
	Authority string     `json:"authority" doc:"as it was given when the hold was set"`
}

// liftHold is POST /v1/holds/lift.
func (s *server) liftHold(ctx context.Context, in *Repeatable) (*positionOutput, error) {
	var authority string
	c, id, err := s.about(ctx, in.Key, "POST /v1/holds/lift", readAnyone, func(o *object) {
		authority = o.text("authority", true, isAuthority, "must be 1 to 200 characters")
	})
	if err != nil {
		return nil, err
	}
	out, err := positioned(s.Command.LiftHold(ctx, c, id, authority))
	return out, relocate(err, "/data", "", "/person", "/person/reference")
}

type retentionOutput struct {
	Body struct {
		Due []dueLine `json:"due" doc:"by day, then class"`
	}
}

type dueLine struct {
	On    string `json:"on" format:"date"`
	Class int16  `json:"class" example:"2"`
	Count int    `json:"count" example:"12"`
}

// retentionPage bounds how many scheduled erasures are counted.
const retentionPage = 100_000

// retention is GET /v1/retention.
func (s *server) retention(ctx context.Context, _ *struct{}) (*retentionOutput, error) {
	filed, err := s.Command.Retention().Queue(ctx, retentionPage)
	if err != nil {
		return nil, err
	}
	out := &retentionOutput{}
	out.Body.Due = []dueLine{}
	counts := map[dueLine]int{}
	for _, f := range filed {
		counts[dueLine{On: f.On.String(), Class: int16(f.Class)}]++
	}
	for line, n := range counts {
		line.Count = n
		out.Body.Due = append(out.Body.Due, line)
	}
	slices.SortFunc(out.Body.Due, func(a, b dueLine) int {
		if a.On != b.On {
			return strings.Compare(a.On, b.On)
		}
		return int(a.Class) - int(b.Class)
	})
	return out, nil
}

type exportOutput struct {
	ContentDisposition string `header:"Content-Disposition"`
	Body               projection.Export
}

// export is GET /v1/me/export.
func (s *server) export(ctx context.Context, _ *struct{}) (*exportOutput, error) {
	e, err := s.Projection.Export(ctx, self(ctx))
	if err != nil {
		return nil, err
	}
	return &exportOutput{ContentDisposition: `attachment; filename="my-data.json"`, Body: *e}, nil
}
