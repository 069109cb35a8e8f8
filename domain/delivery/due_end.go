package delivery

import (
	"slices"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// applyEnd files the notices of what ends: a grant, a link, an agreement, a person's data, a person's id.
func (f *filing) applyEnd(e *journal.Entry, subject citizen.ID) error {
	switch event := e.Event.(type) {
	case citizen.Change: // a death: of other facts the view wants their decisions alone
		return f.died(e, subject)
	case journal.ConsentWithdrawn:
		return f.end(e, subject, event.Agreement)
	case journal.MinistryUnlinked:
		return f.unlinked(e, subject, event.Ministry, "")
	case journal.MinistryLinked:
		return f.unlinked(e, subject, event.Ministry, event.ClientReference)
	case journal.AgreementEnded:
		return f.over(e, event.ID)
	case journal.Erased:
		if slices.Contains(event.Classes, eventstore.Facts) {
			return f.notify(e, subject, dueErased)
		}
	case journal.CitizensMerged:
		return f.notify(e, subject, dueRekeyed)
	}
	return nil
}

// end files one ended for a citizen if something was given under an agreement since the last one.
func (f *filing) end(e *journal.Entry, subject citizen.ID, agreement string) error {
	stream, lane, ok := f.lane(subject, agreement)
	if !ok {
		return nil
	}
	key := underKey(stream, lane, agreement, subject)
	value, err := f.get(key)
	if err != nil || value == nil {
		return err
	}
	last, err := decodeUnder(value)
	if err != nil {
		return err
	}
	row := dueRow{
		order: e.Position, position: last.position, agreement: agreement, kind: dueEnded, version: last.version, root: last.position, citizen: subject,
	}
	f.put(row.key(stream, lane), row.encode())
	f.put(key, nil)
	return nil
}

// died ends what was shared by consent; links, and what a statute orders, stay.
func (f *filing) died(e *journal.Entry, subject citizen.ID) error {
	given, err := f.given(givenKey(subject))
	if err != nil {
		return err
	}
	var agreements []string
	for _, g := range given {
		if a, ok := f.law.Book.Find(g.agreement); ok && a.Basis.Kind == consent.BasisConsent && !slices.Contains(agreements, a.ID) {
			agreements = append(agreements, a.ID)
		}
	}
	for _, agreement := range agreements {
		if err := f.end(e, subject, agreement); err != nil {
			return err
		}
	}
	return nil
}

// unlinked ends what depended on a link. Linking again under the same reference ends nothing that a ministry would have to know.
func (f *filing) unlinked(e *journal.Entry, subject citizen.ID, ministry, reference string) error {
	for _, a := range f.law.Book.Approved() {
		if a.Ministry != ministry || a.Population != consent.PopulationLinked {
			continue
		}
		if stream, lane, ok := f.lane(subject, a.ID); ok && reference != "" {
			value, err := f.get(underKey(stream, lane, a.ID, subject))
			if err != nil || value == nil { // as with a first link: nothing was given
				if err != nil {
					return err
				}
				continue
			}
			before, err := f.journal.StatesAt(f.ctx, e.Position-1, subject)
			if err != nil {
				return err
			}
			if link, linked := before.Standing.Link(ministry); !linked || link.Reference == reference {
				continue
			}
		}
		if err := f.end(e, subject, a.ID); err != nil {
			return err
		}
	}
	return nil
}

// over files the end of an agreement once in each lane that gave something under it: whoever reads the lane goes through its citizens, a
// page at a time, however many they are.
func (f *filing) over(e *journal.Entry, agreement string) error {
	open, ok := f.law.Streams[f.law.StreamOf[agreement]]
	if !ok {
		return nil
	}
	for lane := range open.Lanes {
		under := underKey(open.Stream, lane, agreement)
		rows, err := f.tx.Scan(f.ctx, under, after(under), 1)
		if err != nil {
			return err
		}
		if len(rows) > 0 {
			row := dueRow{order: e.Position, position: e.Position, agreement: agreement, kind: dueOver, root: e.Position}
			f.put(row.key(open.Stream, lane), row.encode())
		}
	}
	return nil
}

// notify files one notice in each lane that gave numbers about a citizen: that they are erased, or merged. Nothing is ended after it.
func (f *filing) notify(e *journal.Entry, subject citizen.ID, kind dueKind) error {
	given, err := f.given(givenKey(subject))
	if err != nil {
		return err
	}
	for _, g := range lanesOf(given) {
		row := dueRow{order: e.Position, position: e.Position, agreement: g.agreement, kind: kind, version: g.version, root: e.Position, citizen: subject}
		if kind == dueErased { // the notice is about numbers of a lane, whatever they were given under
			row.agreement, row.version = "", 0
		}
		f.put(row.key(g.stream, g.lane), row.encode())
	}
	for _, g := range given {
		f.put(underKey(g.stream, g.lane, g.agreement, subject), nil)
	}
	return nil
}
