package web

import (
	"errors"
	"net/http"
	"time"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/projection"
)

type receiptView struct {
	Number    string
	Name      string // of whom it is about: paper has no sign-in
	What      string
	At        time.Time
	Effective string        // empty for what only takes back
	About     *receiptLink  // what it puts right
	Since     []receiptLink // what put it right later
	Told      []answer
	NotTold   []answer
	Taken     []answer // who had been given a wrong value, and was told that it is wrong
	Over      bool     // nothing about it is awaited any more
	Words     string   // of the form of what was told; empty: it has none, or is no change of its own
	Lines     []string // what was told
	Correct   bool     // it can be put right or taken back on a page
	Link, All string   // paths of this receipt, and of all
	Home      string   // path of the details
}

// receiptLink is another change as a receipt names it.
type receiptLink struct{ Text, Receipt string }

// receiptPage shows what each ministry answered, as of now.
func (s *server) receiptPage(r *request) error {
	v, err := s.receipt(r)
	if err != nil {
		return err
	}
	profile, err := s.Projection.Profile(r.Context(), r.citizen())
	if err != nil {
		return err
	}
	if called, ok := held(profile, citizen.NameChanged, ""); ok {
		v.Name = r.words.list(nameLines(r.words, called.Data))
	}
	title := r.say("receipt.title.any", "What", v.What)
	if v.Words != "" {
		title = r.say("resident." + v.Words + ".done")
	}
	return s.show(r, http.StatusOK, "receipt", view{Title: title, Data: v})
}

// told is what a receipt's number stands for: of whom the page is about, or of somebody for whom they act in everything; the page is about
// that person then.
func (s *server) told(r *request) (projection.Told, error) {
	if r.ward != nil && len(r.ward.Scope) > 0 { // who acts in some things alone sees nothing of the person
		return projection.Told{}, errNoPage
	}
	told, err := s.Projection.Receipt(r.Context(), r.citizen(), r.PathValue("number"))
	if !errors.Is(err, projection.ErrNotFound) || r.ward != nil || r.actor.Kind != journal.ActorResident {
		return told, err
	}
	wards, err := s.Projection.ActingFor(r.Context(), r.citizen())
	if err != nil {
		return told, err
	}
	for i := range wards {
		if len(wards[i].Scope) > 0 {
			continue
		}
		told, err := s.Projection.Receipt(r.Context(), wards[i].ID, r.PathValue("number"))
		if !errors.Is(err, projection.ErrNotFound) {
			r.ward = &wards[i]
			return told, err
		}
	}
	return told, projection.ErrNotFound
}

// receipt is a receipt as of now.
func (s *server) receipt(r *request) (v receiptView, err error) {
	told, err := s.told(r)
	if err != nil {
		return v, err
	}
	v = receiptView{Number: told.Receipt, What: s.toldLabel(r.words, told.Type, told.Change.Type), At: told.RecordedAt, Over: true}
	v.Link, v.All, v.Home = r.at("/receipts/"+told.Receipt), r.at("/receipts"), r.at("/me")
	s.whatWasTold(r, &told, &v)
	if v.Taken, err = s.taken(r, &told); err != nil {
		return v, err
	}
	for i := range told.Retracted {
		v.Over = v.Over && isOver(&told.Retracted[i])
	}
	if told.Type != journal.TypeChangeCancelled && told.Type != journal.TypeDeathCorrected {
		v.Effective = told.Change.Effective
	}
	if told.About != nil {
		v.About = &receiptLink{Text: r.say("receipt.about", "When", r.words.moment(told.About.RecordedAt)), Receipt: told.About.Receipt}
	}
	for i := range told.Since {
		v.Since = append(v.Since, receiptLink{Text: s.mention(r, &told.Since[i]), Receipt: told.Since[i].Receipt})
	}
	for i := range told.Outcomes {
		o := &told.Outcomes[i]
		if a := s.outcome(r, told.Change, o); o.Reason == consent.None {
			v.Told = append(v.Told, a)
			v.Over = v.Over && isOver(o.Given)
		} else {
			v.NotTold = append(v.NotTold, a)
		}
	}
	return v, nil
}

// whatWasTold is the fact of a receipt as people read it, and what can be done about it.
func (s *server) whatWasTold(r *request, told *projection.Told, v *receiptView) {
	f := formOf(told.Change.Type, told.Change.Key)
	if f == nil {
		return
	}
	if told.Type == told.Change.Type {
		v.Words = f.Words
	}
	if told.Type != journal.TypeChangeCancelled {
		v.Lines = f.lines(r.words, told.Change.Data)
	}
	v.Correct = mayPutRight(told, f)
}

// mayPutRight says whether what was told can be corrected or taken back on pages.
func mayPutRight(told *projection.Told, f *form) bool {
	return f != nil && !f.Once && told.Type == told.Change.Type && told.Stands()
}

// isOver says whether a fact is answered for good.
func isOver(g *journal.Given) bool {
	return g != nil && (g.Status == journal.StatusApplied || g.Status == journal.StatusRejected || g.Status == journal.StatusRecalled)
}

// taken lists who was told that a value they had been given is wrong, and not what is right.
func (s *server) taken(r *request, told *projection.Told) ([]answer, error) {
	law, err := s.Journal.CurrentLaw(r.Context())
	if err != nil {
		return nil, err
	}
	var out []answer
	for i := range told.Retracted {
		g := &told.Retracted[i]
		agreement, ok := law.Agreement(g.Item.Agreement, g.Item.Version)
		if !ok {
			agreement = &consent.Agreement{ID: g.Item.Agreement}
		}
		a := answer{Name: s.organisation(r.words, agreement), Tag: r.say(statusKeys[g.Status]), Tone: statusTones[g.Status], At: g.At}
		if !g.StatusAt.IsZero() {
			a.At = g.StatusAt
		}
		out = append(out, a)
	}
	return out, nil
}

// toldLabel is what was told, by its own type and that of the fact: of a correction and the like both.
func (s *server) toldLabel(w *words, told, fact string) string {
	if told == fact {
		return s.typeLabel(w, fact)
	}
	return s.typeLabel(w, told) + " (" + s.typeLabel(w, fact) + ")"
}

// mention says what was told about a change later, and when.
func (s *server) mention(r *request, m *projection.Mention) string {
	return r.say("told.later", "What", s.typeLabel(r.words, m.Type), "When", r.words.moment(m.RecordedAt))
}
