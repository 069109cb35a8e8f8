package web

import (
	"net/http"
	"slices"
	"strconv"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/projection"
)

// What these pages write on the log as their origin.
const (
	issuer  = journal.IssuerPages
	channel = journal.ChannelWeb
)

func newCommand() string { return uuid.NewString() }

func contains(list []string, s string) bool { return slices.Contains(list, s) }

// recipient is one organisation under a change, as a resident reads it.
type recipient struct {
	ID        string // of the agreement
	Name      string
	Purpose   string
	Fields    []string // labels of what it gets
	Law       string   // the statute, in its own words; empty under a consent
	Statute   bool
	Why       string // why it is not told; empty where it is
	Ticked    bool
	Ministry  string
	agreement *consent.Agreement
}

// recipients says who would be told of a change, and who not.
type recipients struct {
	ByLaw, Agreed, Offers, Others []recipient
	preview                       command.Preview
}

// told are those who will get the change.
func (l *recipients) told() []recipient { return slices.Concat(l.ByLaw, l.Agreed) }

// companion is who would be told of the same change of somebody else.
type companion struct {
	Name          string
	Told, NotTold []recipient
	list          recipients
}

// whoPage is step 2: who is told by law, and who only if the resident agrees. Nothing is ticked before they do.
func (s *server) whoPage(r *request, q *flow) error {
	d, all, ok, err := s.ready(r, q)
	if !ok {
		return err
	}
	return s.showWho(r, http.StatusOK, q, d, all, "")
}

type whoView struct {
	Caption, For string
	List         recipients
	With         []companion
	Warning      string
}

func (s *server) showWho(r *request, status int, q *flow, d draft, all []command.Telling, warning string) error {
	list, err := s.offer(r, d, all[0])
	if err != nil {
		return err
	}
	with, err := s.others(r, q, d, all)
	if err != nil {
		return err
	}
	return s.show(r, status, "who", view{Title: r.say("who.title"), Back: q.link(r, ""), Data: whoView{
		Caption: q.caption(r, "/who"), For: s.forMark(r), List: list, With: with, Warning: warning,
	}})
}

// others is who would be told of those who change with the resident: as things stand, for a form's consents are its writer's own.
func (s *server) others(r *request, q *flow, d draft, all []command.Telling) ([]companion, error) {
	wards, err := s.chosen(r, q, d)
	if err != nil || len(wards) == 0 {
		return nil, err
	}
	law, err := s.Journal.FreshLaw(r.Context())
	if err != nil {
		return nil, err
	}
	var out []companion
	for _, one := range all[1:] {
		at := slices.IndexFunc(wards, func(w projection.Ward) bool { return w.ID == one.ID })
		if at < 0 { // they may not act for them any more since a moment ago: the confirmation is refused
			continue
		}
		list, err := s.preview(r, one, law)
		if err != nil {
			return nil, err
		}
		out = append(out, companion{Name: wards[at].Name, Told: list.told(), NotTold: list.Others, list: list})
	}
	return out, nil
}

// whoPost takes step 2.
func (s *server) whoPost(r *request, q *flow) error {
	d, all, ok, err := s.ready(r, q)
	if !ok {
		return err
	}
	list, err := s.offer(r, draft{}, all[0])
	if err != nil {
		return err
	}
	d.Agree, d.Stop, d.Chosen = picked(list.Offers, r.PostForm["agree"]), picked(list.Agreed, r.PostForm["stop"]), true
	if err := s.keep(r, q.name(), d); err != nil {
		return err
	}
	return r.redirect(r.base + "/" + q.path + "/check")
}

// picked are the ids of what was on offer and is ticked, in the order of the offer.
func picked(offers []recipient, ticked []string) []string {
	var out []string
	for _, o := range offers {
		if contains(ticked, o.ID) {
			out = append(out, o.ID)
		}
	}
	return out
}

// choices are the form's consents: a grant holds exactly the fields of this change that the page named.
func choices(change command.Change, d draft, law *journal.Law, lang string) []command.Choice {
	var out []command.Choice
	for _, id := range d.Agree {
		choice := command.Choice{Agreement: id, Language: lang}
		if a, ok := law.Book.Find(id); ok && a.Share(change.Type) != nil {
			choice.Fields = slices.Clone(a.Share(change.Type).Fields)
		}
		out = append(out, choice)
	}
	for _, id := range d.Stop {
		out = append(out, command.Choice{Agreement: id, Withdraw: true, Language: lang})
	}
	return out
}

// offer asks twice: who is told as things stand, and who more if the resident agreed to everything.
func (s *server) offer(r *request, d draft, one command.Telling) (recipients, error) {
	law, err := s.Journal.FreshLaw(r.Context())
	if err != nil {
		return recipients{}, err
	}
	now, err := s.preview(r, one, law)
	if err != nil {
		return recipients{}, err
	}
	out := recipients{ByLaw: now.ByLaw, Others: now.Others, preview: now.preview}
	for _, had := range now.Agreed {
		had.Ticked = contains(d.Stop, had.ID)
		out.Agreed = append(out.Agreed, had)
	}
	if one.Change.Type == journal.TypeChangeCorrected || (r.ward != nil && !mayTellFor(r.ward, journal.TypeConsentGranted)) {
		return out, nil
	}
	var all draft
	for _, other := range now.Others {
		if other.agreement.Basis.Kind == consent.BasisConsent {
			if _, granting := law.Book.Find(other.ID); granting {
				all.Agree = append(all.Agree, other.ID)
			}
		}
	}
	one.Change.Consents = choices(one.Change, all, law, r.lang())
	most, err := s.preview(r, one, law)
	if err != nil {
		return recipients{}, err
	}
	out.Others = most.Others
	for _, more := range most.Agreed {
		if !slices.ContainsFunc(now.Agreed, func(had recipient) bool { return had.ID == more.ID }) {
			more.Ticked = contains(d.Agree, more.ID)
			out.Offers = append(out.Offers, more)
		}
	}
	return out, nil
}

// preview is who is told of a change with its consents: the same judgement as the confirmation's.
func (s *server) preview(r *request, one command.Telling, law *journal.Law) (recipients, error) {
	preview, err := s.previewOf(r.Context(), r.actor, one)
	if err != nil {
		return recipients{}, err
	}
	return s.sorted(r, preview, law), nil
}

func (s *server) sorted(r *request, preview command.Preview, law *journal.Law) recipients {
	out := recipients{preview: preview}
	for _, decision := range preview.Decisions {
		a, ok := law.Agreement(decision.Agreement, decision.Version)
		if !ok { // it ended just now: the digest will say so
			continue
		}
		one := s.recipient(r, a)
		one.Fields = inSentence(s.labels(r, preview.Type, s.Journal.FieldNames(preview.Type, decision.Fields)))
		switch {
		case decision.Reason != consent.None:
			one.Why = whyNot(r, a, preview.Type, decision.Reason)
			out.Others = append(out.Others, one)
		case one.Statute:
			out.ByLaw = append(out.ByLaw, one)
		default:
			out.Agreed = append(out.Agreed, one)
		}
	}
	return out
}

func (s *server) recipient(r *request, a *consent.Agreement) recipient {
	return recipient{
		ID: a.ID, Name: s.organisation(r.words, a), Purpose: r.words.in(a.Purpose), Law: a.Basis.Reference,
		Statute: a.Basis.Kind == consent.BasisStatute, Ministry: a.Ministry, agreement: a,
	}
}

// organisation is who receives under an agreement, for people to read.
func (s *server) organisation(w *words, a *consent.Agreement) string {
	title := w.in(a.Title)
	if title == "" { // an agreement that is no longer in force: its id is all there is
		title = a.ID
	}
	name := w.in(s.Ministries[a.Ministry])
	if name == "" || name == title {
		return title
	}
	return name + " (" + title + ")"
}

// labels are the fields' names for people.
func (s *server) labels(r *request, eventType string, fields []string) []string {
	row, ok := s.Journal.Registry().Row(eventType)
	if !ok {
		return fields
	}
	out := make([]string, 0, len(fields))
	for _, f := range row.Fields {
		if contains(fields, f.Name) {
			out = append(out, r.words.in(f.Label))
		}
	}
	return out
}

// inSentence are labels as they stand within a sentence: with a small first letter, but for what is written in capitals.
func inSentence(labels []string) []string {
	out := make([]string, len(labels))
	for i, label := range labels {
		first, size := utf8.DecodeRuneInString(label)
		if next, _ := utf8.DecodeRuneInString(label[size:]); unicode.IsUpper(next) {
			out[i] = label
			continue
		}
		out[i] = string(unicode.ToLower(first)) + label[size:]
	}
	return out
}

// reasonKeys are why an agreement gets nothing, said to the resident themself.
var reasonKeys = map[consent.Reason]string{
	consent.Restricted: "why.restricted", consent.NotInForce: "why.not-in-force", consent.NotLinked: "why.not-linked", consent.NoGrant: "why.no-grant",
	consent.MinAge: "why.min-age", consent.MaxAge: "why.max-age", consent.AddressKind: "why.address-kind", consent.Province: "why.province",
	consent.NoFields: "why.no-fields",
}

func whyNot(r *request, a *consent.Agreement, eventType string, reason consent.Reason) string {
	var when consent.Conditions
	if share := a.Share(eventType); share != nil {
		when = share.When
	}
	switch reason {
	case consent.MinAge:
		return r.say(reasonKeys[reason], "Age", age(when.MinAge))
	case consent.MaxAge:
		return r.say(reasonKeys[reason], "Age", age(when.MaxAge))
	case consent.AddressKind:
		var kinds []string
		for _, kind := range when.AddressKind {
			kinds = append(kinds, r.say("kinds."+kind))
		}
		return r.say(reasonKeys[reason], "Kinds", r.words.either(kinds))
	case consent.Province:
		var names []string
		for _, code := range when.Province {
			names = append(names, r.say("province."+code))
		}
		return r.say(reasonKeys[reason], "Provinces", r.words.either(names))
	case consent.None, consent.Restricted, consent.NotInForce, consent.NotLinked, consent.NoGrant, consent.NoFields:
	}
	key, ok := reasonKeys[reason]
	if !ok {
		key = "why.no-fields"
	}
	return r.say(key)
}

func age(n *int) string {
	if n == nil {
		return "…"
	}
	return strconv.Itoa(*n)
}
