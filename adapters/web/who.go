package web

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
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
	digest                        string
}

// told are those who will get the change.
func (l *recipients) told() []recipient { return slices.Concat(l.ByLaw, l.Agreed) }

// whoPage is step 2: who is told by law, and who only if the resident agrees. Nothing is ticked before they do.
func (s *server) whoPage(r *request, kind string) error {
	d, change, ok, err := s.ready(r, kind)
	if err != nil {
		return err
	}
	if !ok {
		return r.redirect("/address/" + kind)
	}
	return s.showWho(r, http.StatusOK, kind, d, change, "")
}

type whoView struct {
	Kind    string
	List    recipients
	Warning string
}

func (s *server) showWho(r *request, status int, kind string, d draft, change command.Change, warning string) error {
	list, err := s.offer(r, d, change)
	if err != nil {
		return err
	}
	return s.show(r, status, "who", view{
		Title: r.say("who.title"), Back: "/" + r.lang() + "/address/" + kind, Data: whoView{Kind: kind, List: list, Warning: warning},
	})
}

// whoPost takes step 2.
func (s *server) whoPost(r *request, kind string) error {
	d, change, ok, err := s.ready(r, kind)
	if err != nil {
		return err
	}
	if !ok {
		return r.redirect("/address/" + kind)
	}
	list, err := s.offer(r, draft{}, change)
	if err != nil {
		return err
	}
	d.Agree, d.Stop, d.Chosen = picked(list.Offers, r.PostForm["agree"]), picked(list.Agreed, r.PostForm["stop"]), true
	if err := s.keep(r, kind, d); err != nil {
		return err
	}
	return r.redirect("/address/" + kind + "/check")
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
func (s *server) offer(r *request, d draft, change command.Change) (recipients, error) {
	law, err := s.Journal.FreshLaw(r.Context())
	if err != nil {
		return recipients{}, err
	}
	now, err := s.preview(r, change, law)
	if err != nil {
		return recipients{}, err
	}
	var all draft
	for _, other := range now.Others {
		if other.agreement.Basis.Kind == consent.BasisConsent {
			if _, granting := law.Book.Find(other.ID); granting {
				all.Agree = append(all.Agree, other.ID)
			}
		}
	}
	change.Consents = choices(change, all, law, r.lang())
	most, err := s.preview(r, change, law)
	if err != nil {
		return recipients{}, err
	}
	out := recipients{ByLaw: now.ByLaw, Others: most.Others, digest: now.digest}
	for _, one := range now.Agreed {
		one.Ticked = contains(d.Stop, one.ID)
		out.Agreed = append(out.Agreed, one)
	}
	for _, one := range most.Agreed {
		if !slices.ContainsFunc(now.Agreed, func(had recipient) bool { return had.ID == one.ID }) {
			one.Ticked = contains(d.Agree, one.ID)
			out.Offers = append(out.Offers, one)
		}
	}
	return out, nil
}

// preview is who is told of a change with its consents: the same judgement as the confirmation's.
func (s *server) preview(r *request, change command.Change, law *journal.Law) (recipients, error) {
	preview, err := s.Command.Preview(r.Context(), r.actor, r.citizen(), change)
	if err != nil {
		return recipients{}, err
	}
	return s.sorted(r, change, preview, law), nil
}

func (s *server) sorted(r *request, change command.Change, preview command.Preview, law *journal.Law) recipients {
	out := recipients{digest: preview.Digest}
	for _, decision := range preview.Decisions {
		a, ok := law.Agreement(decision.Agreement, decision.Version)
		if !ok { // it ended just now: the digest will say so
			continue
		}
		one := s.recipient(r, a)
		one.Fields = inSentence(s.labels(r, change.Type, s.Journal.FieldNames(change.Type, decision.Fields)))
		switch {
		case decision.Reason != consent.None:
			one.Why = whyNot(r, a, change.Type, decision.Reason)
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

type checkView struct {
	Kind          string
	Address       []string
	Former        []string
	Date          string
	Told, NotTold []recipient
	Count         int // of organisations that will be told
	Command       string
	Digest        string
	Draft         string
	Warning       string
}

// checkPage is step 3: everything once more, before anybody is told.
func (s *server) checkPage(r *request, kind string) error {
	d, change, ok, err := s.ready(r, kind)
	switch {
	case err != nil:
		return err
	case d.Done != "":
		return r.redirect("/receipts/" + d.Done)
	case !ok:
		return r.redirect("/address/" + kind)
	case !d.Chosen:
		return r.redirect("/address/" + kind + "/who")
	}
	return s.showCheck(r, http.StatusOK, kind, d, change, "")
}

func (s *server) showCheck(r *request, status int, kind string, d draft, change command.Change, warning string) error {
	law, err := s.Journal.FreshLaw(r.Context())
	if err != nil {
		return err
	}
	change.Consents = choices(change, d, law, r.lang())
	list, err := s.preview(r, change, law)
	var rejection *citizen.Rejection
	if errors.As(err, &rejection) { // a consent of the form is no longer on offer: choose again
		change.Consents = nil
		return s.showWho(r, http.StatusConflict, kind, draft{}, change, r.say("who.changed"))
	}
	if err != nil {
		return err
	}
	former, err := s.former(r.Context(), r.citizen(), kind)
	if err != nil {
		return err
	}
	v := checkView{
		Kind: kind, Address: r.words.addressLines(change.Data), Date: change.Effective, Told: list.told(), NotTold: list.Others,
		Count: organisations(list.told()), Command: d.Command, Digest: list.digest, Draft: s.print(d), Warning: warning,
	}
	if former != nil {
		v.Former = r.words.addressLines(former)
	}
	if err := s.explainNotTold(r, v.NotTold, d, change); err != nil {
		return err
	}
	return s.show(r, status, "check", view{Title: r.say("check.title"), Back: "/" + r.lang() + "/address/" + kind + "/who", Data: v})
}

// explainNotTold says why each is not told: who could not be told even with a consent was never asked about, and so didn't refuse one.
func (s *server) explainNotTold(r *request, list []recipient, d draft, change command.Change) error {
	change.Consents = nil
	asked, err := s.offer(r, draft{}, change)
	if err != nil {
		return err
	}
	for i := range list {
		if contains(d.Stop, list[i].ID) {
			list[i].Why = r.say("why.stopped")
		}
		for _, other := range asked.Others {
			if other.ID == list[i].ID {
				list[i].Why = other.Why
			}
		}
	}
	return nil
}

// checkPost is the confirmation. It carries what the page showed (the preview's digest, the form's print) and the command's id, so
// that what is confirmed is what was seen, and is told once however often it is sent.
func (s *server) checkPost(r *request, kind string) error {
	d, change, ok, err := s.ready(r, kind)
	switch {
	case err != nil:
		return err
	case d.Done != "":
		return r.redirect("/receipts/" + d.Done)
	case !ok:
		return r.redirect("/address/" + kind)
	case !d.Chosen:
		return r.redirect("/address/" + kind + "/who")
	case r.form("command") != d.Command || r.form("draft") != s.print(d):
		return s.showCheck(r, http.StatusConflict, kind, d, change, r.say("check.edited")) // another tab changed the form
	}
	law, err := s.Journal.FreshLaw(r.Context())
	if err != nil {
		return err
	}
	change.Consents, change.Preview = choices(change, d, law, r.lang()), r.form("preview")
	if change.Preview == "" {
		return errForm
	}
	result, err := s.Command.Tell(r.Context(), s.command(r, d, change), r.citizen(), change)
	var stale *command.StalePreview
	var rejection *citizen.Rejection
	switch {
	case errors.As(err, &stale):
		return s.showCheck(r, http.StatusConflict, kind, d, change, r.say("check.stale"))
	case errors.As(err, &rejection):
		return s.refused(r, kind, d, change, rejection)
	case err != nil:
		return err
	}
	if err := s.keep(r, kind, draft{Command: d.Command, Done: result.Receipt}); err != nil {
		return err
	}
	return r.redirect("/receipts/" + result.Receipt)
}

// refused shows a refusal where it can be mended: at its field, or among the consents.
func (s *server) refused(r *request, kind string, d draft, change command.Change, rejection *citizen.Rejection) error {
	p := rejectionOf(r, rejection)
	if p.Field == "" && rejection.Pointer != nil && len(change.Consents) > 0 && rejection.Code != citizen.CodeCommandReused {
		change.Consents = nil
		return s.showWho(r, http.StatusConflict, kind, draft{}, change, r.say("who.changed"))
	}
	return s.showAddress(r, http.StatusUnprocessableEntity, kind, d, []problem{p})
}

// organisations counts the ministries among recipients: one that is told under two agreements is one.
func organisations(list []recipient) int {
	var seen []string
	for _, one := range list {
		if !contains(seen, one.Ministry) {
			seen = append(seen, one.Ministry)
		}
	}
	return len(seen)
}
