package web

import (
	"net/http"
	"time"

	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/projection"
)

type receiptsView struct {
	Groups []receiptGroup
}

// receiptGroup is one person's receipts, newest first.
type receiptGroup struct {
	Name  string // empty: the reader's own
	Lines []receiptLine
	More  bool // older ones are not in it
}

type receiptLine struct {
	What      string
	At        time.Time
	Receipt   string
	Link      string
	Tag, Tone string
	Note      string
}

// receiptsPage lists the receipts of whom the page is about, and of those for whom they act in everything.
func (s *server) receiptsPage(r *request) error {
	if r.ward != nil && len(r.ward.Scope) > 0 {
		return errNoPage
	}
	own, err := s.Projection.Changes(r.Context(), r.citizen())
	if err != nil {
		return err
	}
	v := receiptsView{Groups: []receiptGroup{s.receiptGroup(r, "", own)}}
	if r.ward == nil && r.actor.Kind == journal.ActorResident {
		wards, err := s.Projection.ActingFor(r.Context(), r.citizen())
		if err != nil {
			return err
		}
		for i := range wards {
			if len(wards[i].Scope) > 0 {
				continue
			}
			theirs, err := s.Projection.Changes(r.Context(), wards[i].ID)
			if err != nil {
				return err
			}
			v.Groups = append(v.Groups, s.receiptGroup(r, wards[i].Name, theirs))
		}
	}
	return s.show(r, http.StatusOK, "resident-receipts", view{Title: r.say("resident.receipts.title"), Back: r.at("/me"), Data: v})
}

func (s *server) receiptGroup(r *request, name string, changes []projection.Told) receiptGroup {
	g := receiptGroup{Name: name, More: len(changes) > latest}
	for i := range changes[:min(len(changes), latest)] {
		c := &changes[i]
		line := receiptLine{What: s.toldLabel(r.words, c.Type, c.Change.Type), At: c.RecordedAt, Receipt: c.Receipt, Link: r.at("/receipts/" + c.Receipt)}
		line.Tag, line.Tone = howFar(r, c)
		if n := len(c.Since); n > 0 {
			line.Note = s.mention(r, &c.Since[n-1])
		}
		g.Lines = append(g.Lines, line)
	}
	return g
}

// howFar is a change's status in one tag: what is worst first, then what is awaited.
func howFar(r *request, c *projection.Told) (tag, tone string) {
	var told, done, refused int
	for i := range c.Outcomes {
		o := &c.Outcomes[i]
		switch {
		case o.Reason != 0:
			continue
		case o.Given != nil && o.Given.Status == journal.StatusRejected:
			refused++
		case isOver(o.Given) || o.Given != nil && o.Given.Status == journal.StatusReceived:
			done++
		}
		told++
	}
	switch {
	case told == 0:
		return r.say("resident.receipts.nobody"), "none"
	case refused > 0:
		return r.say("resident.receipts.refused", "Count", refused), "bad"
	case done == told:
		return r.say("resident.receipts.all"), "good"
	}
	return r.say("resident.receipts.some", "Done", r.words.number(done), "All", r.words.number(told)), "waiting"
}
