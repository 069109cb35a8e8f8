package httpapi

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/schemas"
)

// arrangers are the roles that may say who acts for somebody else.
var arrangers = []journal.Role{journal.RoleClerk, journal.RoleRegistrar, journal.RoleProtector}

func (s *server) proxyRoutes() {
	changed := slices.Concat(repeatCodes, []string{citizen.CodeUnknownPerson, citizen.CodeNoCapacity})
	granted := slices.Concat(changed, []string{
		citizen.CodePersonDeceased, citizen.CodeSamePerson, citizen.CodeCircularProxy, citizen.CodeUnknownType,
	})
	register(s, me(route{
		method: http.MethodGet, path: "/v1/me/proxies", id: "proxies", summary: "Who may act for you, and what they did",
		description: "By kind: parent, guardian or attorney. Also what became of other ids of yours.", codes: []string{codeNotFound},
	}), s.proxies)
	register(s, me(route{
		method: http.MethodPut, path: "/v1/me/proxies", id: "empower", summary: "Let somebody act for you",
		description: "As your attorney. Both of you must be of age. The same person again replaces what they might before. They find their own id " +
			"with GET /v1/me/acting-for.",
		body: empowerBody{}, codes: granted,
	}), s.empower)
	register(s, me(route{
		method: http.MethodDelete, path: "/v1/me/proxies/{grant}", id: "endProxy", summary: "End what lets somebody act for you",
		description: "Your attorneys only. From the answer on they can't act for you any more.",
		codes:       slices.Concat(changed, []string{citizen.CodeNoSuchProxy}),
	}), s.endProxy)
	register(s, me(route{
		method: http.MethodGet, path: "/v1/me/acting-for", id: "actingFor", summary: "For whom you may act",
		description: "Name one of them in the header X-On-Behalf-Of of what you tell, grant, withdraw, link or unlink for them.",
	}), s.actingFor)
	register(s, mayBehalf(me(route{
		method: http.MethodDelete, path: "/v1/me/acting-for", id: "stopActing", summary: "Stop acting for somebody",
		description: "X-On-Behalf-Of names them.", codes: slices.Concat(repeatCodes, []string{citizen.CodeNoSuchProxy}),
	})), s.stopActing)
	register(s, route{
		method: http.MethodPost, path: "/v1/proxies", id: "grantProxy", tag: "persons", roles: arrangers, summary: "Let somebody act for a person",
		description: "A clerk an attorney, with the person present; the registrar also a parent or a guardian. Parents and guardians of a minor act " +
			"until the day before it comes of age.",
		body: proxyBody{}, codes: granted,
	}, s.grantProxy)
	register(s, route{
		method: http.MethodPost, path: "/v1/proxies/end", id: "endProxyOf", tag: "persons", roles: arrangers,
		summary: "End what lets somebody act for a person", body: endProxyBody{}, codes: slices.Concat(changed, []string{citizen.CodeNoSuchProxy}),
	}, s.endProxyOf)
}

type proxiesOutput struct {
	Body struct {
		Proxies []proxyLine `json:"proxies" doc:"the latest first"`
		Acts    []actLine   `json:"acts" doc:"what they did for you, newest first"`
		Merges  []mergeLine `json:"merges" doc:"other ids of yours that were merged into this one"`
	}
}

type proxyLine struct {
	Grant int64     `json:"grant" example:"4711" doc:"where it was granted in the log: names it when you end it"`
	Kind  string    `json:"kind" enum:"parent,guardian,attorney"`
	Scope []string  `json:"scope" doc:"the types that they may tell; empty: all"`
	Until string    `json:"until,omitempty" format:"date" doc:"the last day; left out: open"`
	Since time.Time `json:"since"`
	Holds bool      `json:"holds" doc:"false: it has run out, or protection suspends it"`
}

type actLine struct {
	At       time.Time `json:"at"`
	Type     string    `json:"type" example:"address-changed"`
	Kind     string    `json:"kind" enum:"parent,guardian,attorney" doc:"as what they acted"`
	Position int64     `json:"position"`
}

type mergeLine struct {
	At    time.Time `json:"at"`
	Ended []string  `json:"consents_ended" doc:"agreements that you had consented to under the other id: give your consent again if you want to"`
}

// proxies is GET /v1/me/proxies.
func (s *server) proxies(ctx context.Context, _ *struct{}) (*proxiesOutput, error) {
	held, err := s.Projection.Proxies(ctx, self(ctx))
	if err != nil {
		return nil, err
	}
	acts, err := s.Projection.Acts(ctx, self(ctx))
	if err != nil {
		return nil, err
	}
	merges, err := s.Projection.Merges(ctx, self(ctx))
	if err != nil {
		return nil, err
	}
	out := &proxiesOutput{}
	out.Body.Proxies, out.Body.Acts, out.Body.Merges = make([]proxyLine, len(held)), make([]actLine, len(acts)), make([]mergeLine, len(merges))
	for i, p := range held {
		out.Body.Proxies[i] = proxyLine{
			Grant: p.Position, Kind: p.Kind, Scope: append([]string{}, p.Scope...), Until: p.Until.String(), Since: p.Since, Holds: p.Holds,
		}
	}
	for i, a := range acts {
		out.Body.Acts[i] = actLine{At: a.At, Type: a.Type, Kind: a.Kind, Position: a.Position}
	}
	for i, m := range merges {
		out.Body.Merges[i] = mergeLine{At: m.At, Ended: append([]string{}, m.Ended...)}
	}
	return out, nil
}

// empowerBody is the body of a citizen's own grant, for the document.
type empowerBody struct {
	_     struct{} `additionalProperties:"false"`
	Proxy string   `json:"proxy" format:"uuid" doc:"their id"`
	Scope []string `json:"scope,omitempty" doc:"the types that they may tell; left out: all"`
	Until string   `json:"until,omitempty" format:"date" doc:"the last day; left out: open"`
}

// empower is PUT /v1/me/proxies.
func (s *server) empower(ctx context.Context, in *Repeatable) (*positionOutput, error) {
	id, err := maybeCommandID(in.Key)
	if err != nil {
		return nil, err
	}
	o, err := s.parseBody(ctx)
	if err != nil {
		return nil, err
	}
	p := readTerms(o)
	p.Kind = journal.ProxyAttorney
	p.Proxy, _ = citizen.ParseID(o.text("proxy", true, schemas.ValidUUID, "must be a UUID"))
	o.done()
	if err := o.err(); err != nil {
		return nil, err
	}
	content, err := canonical("PUT /v1/me/proxies", o.members)
	if err != nil {
		return nil, err
	}
	out, err := positioned(s.Command.GrantProxy(ctx, s.command(ctx, id, journal.ChannelWeb, content), self(ctx), p))
	return out, relocate(err, "/data", "")
}

// readTerms reads scope and period of a grant.
func readTerms(o *object) command.Proxying {
	return command.Proxying{Scope: o.texts("scope"), Until: o.text("until", false, schemas.ValidDate, "must be a date, YYYY-MM-DD")}
}

type grantInput struct {
	Repeatable
	Grant string `path:"grant" doc:"where it was granted in the log" example:"4711"`
}

// endProxy is DELETE /v1/me/proxies/{grant}.
func (s *server) endProxy(ctx context.Context, in *grantInput) (*positionOutput, error) {
	id, err := maybeCommandID(in.Key)
	if err != nil {
		return nil, err
	}
	held, err := s.Projection.Proxies(ctx, self(ctx))
	if err != nil {
		return nil, err
	}
	var proxy citizen.ID // nobody's: refused as no proxy, unless the command is known
	for _, p := range held {
		if strconv.FormatInt(p.Position, 10) == in.Grant {
			proxy = p.ID
		}
	}
	c := s.command(ctx, id, journal.ChannelWeb, []byte("DELETE /v1/me/proxies/"+in.Grant))
	out, err := positioned(s.Command.EndProxy(ctx, c, self(ctx), proxy))
	return out, relocate(err)
}

type actingForOutput struct {
	Body struct {
		ID     string     `json:"id" format:"uuid" doc:"your own: whoever wants to let you act for them needs it"`
		People []wardLine `json:"people" doc:"those for whom you may act today"`
	}
}

type wardLine struct {
	ID    string   `json:"id" format:"uuid" doc:"for the header X-On-Behalf-Of"`
	Name  string   `json:"name"`
	Kind  string   `json:"kind" enum:"parent,guardian,attorney"`
	Scope []string `json:"scope" doc:"the types that you may tell; empty: all"`
	Until string   `json:"until,omitempty" format:"date" doc:"the last day; left out: open"`
}

// actingFor is GET /v1/me/acting-for.
func (s *server) actingFor(ctx context.Context, _ *struct{}) (*actingForOutput, error) {
	wards, err := s.Projection.ActingFor(ctx, self(ctx))
	if err != nil {
		return nil, err
	}
	out := &actingForOutput{}
	out.Body.ID, out.Body.People = uuid.UUID(self(ctx)).String(), make([]wardLine, len(wards))
	for i, w := range wards {
		out.Body.People[i] = wardLine{ID: w.ID.String(), Name: w.Name, Kind: w.Kind, Scope: append([]string{}, w.Scope...), Until: w.Until.String()}
	}
	return out, nil
}

// stopActing is DELETE /v1/me/acting-for.
func (s *server) stopActing(ctx context.Context, in *Repeatable) (*positionOutput, error) {
	id, err := maybeCommandID(in.Key)
	if err != nil {
		return nil, err
	}
	if !isProxy(ctx) {
		return nil, newProblem(codeOnBehalf)
	}
	c := s.command(ctx, id, journal.ChannelWeb, []byte("DELETE /v1/me/acting-for"))
	out, err := positioned(s.Command.EndProxy(ctx, c, subject(ctx), self(ctx)))
	return out, relocate(err)
}

// proxyBody is the body of a grant by somebody in office, for the document.
type proxyBody struct {
	_       struct{}  `additionalProperties:"false"`
	Person  personRef `json:"person" doc:"who is acted for"`
	Proxy   personRef `json:"proxy" doc:"who acts"`
	Kind    string    `json:"kind" enum:"parent,guardian,attorney"`
	Scope   []string  `json:"scope,omitempty" doc:"the types that they may tell; left out: all"`
	Until   string    `json:"until,omitempty" format:"date" doc:"the last day; left out: open"`
	Channel string    `json:"channel,omitempty" enum:"counter,phone,post" default:"counter"`
}

// grantProxy is POST /v1/proxies.
func (s *server) grantProxy(ctx context.Context, in *Repeatable) (*positionOutput, error) {
	terms := func(o *object) command.Proxying {
		p := readTerms(o)
		p.Kind = o.text("kind", true, func(kind string) bool {
			return kind == journal.ProxyParent || kind == journal.ProxyGuardian || kind == journal.ProxyAttorney
		}, "must be one of parent, guardian, attorney")
		return p
	}
	return s.arrange(ctx, in.Key, "POST /v1/proxies", terms, s.Command.GrantProxy)
}

// endProxyBody is the body of an end by somebody in office, for the document.
type endProxyBody struct {
	_       struct{}  `additionalProperties:"false"`
	Person  personRef `json:"person" doc:"who is acted for"`
	Proxy   personRef `json:"proxy" doc:"who acts no more"`
	Channel string    `json:"channel,omitempty" enum:"counter,phone,post" default:"counter"`
}

// endProxyOf is POST /v1/proxies/end.
func (s *server) endProxyOf(ctx context.Context, in *Repeatable) (*positionOutput, error) {
	terms := func(*object) command.Proxying { return command.Proxying{} }
	end := func(ctx context.Context, c command.Command, person citizen.ID, p command.Proxying) (command.Result, error) {
		return s.Command.EndProxy(ctx, c, person, p.Proxy)
	}
	return s.arrange(ctx, in.Key, "POST /v1/proxies/end", terms, end)
}

// arrange reads what somebody in office says about a person and a proxy, and asks for it.
func (s *server) arrange(
	ctx context.Context, key, place string, terms func(*object) command.Proxying,
	ask func(context.Context, command.Command, citizen.ID, command.Proxying) (command.Result, error),
) (*positionOutput, error) {
	id, err := maybeCommandID(key)
	if err != nil {
		return nil, err
	}
	o, err := s.parseBody(ctx)
	if err != nil {
		return nil, err
	}
	p := terms(o)
	person, proxy, channel := readNamed(ctx, o, "person"), readNamed(ctx, o, "proxy"), readChannel(o)
	o.done()
	if err := o.err(); err != nil {
		return nil, err
	}
	content, err := canonical(place, o.members)
	if err != nil {
		return nil, err
	}
	about, err := s.named(ctx, person, "/person")
	if err == nil {
		p.Proxy, err = s.named(ctx, proxy, "/proxy")
	}
	if err != nil {
		return nil, err
	}
	out, err := positioned(ask(ctx, s.command(ctx, id, channel, content), about, p))
	return out, relocate(err, "/data", "", "/person", "/person")
}

// named is a person as a body names them.
type named struct{ source, reference string }

func readNamed(ctx context.Context, o *object, member string) named {
	person := o.object(member, true)
	if person == nil {
		return named{}
	}
	defer person.done()
	return named{readSource(ctx, person), person.text("reference", true, isReference, referenceDetail)}
}

// named finds whom a body names at a pointer.
func (s *server) named(ctx context.Context, n named, pointer string) (citizen.ID, error) {
	id, err := s.person(ctx, n.source, n.reference)
	return id, relocate(err, "/person", pointer)
}
