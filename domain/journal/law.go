package journal

import (
	"context"
	"fmt"
	"maps"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/schemas"
)

// Law is the agreements as of one version of their aggregate, compiled. It is never changed once shared.
type Law struct {
	Version int32
	Book    consent.Book
	Rules   *consent.Rules
	Streams map[string]StreamOpened // every stream ever opened, by name
	// StreamOf is the stream of every agreement ever approved, by agreement id; what has ended stays.
	StreamOf map[string]string
}

// Expect is the expectation that the law is still this one.
func (l *Law) Expect() eventstore.Expect {
	return eventstore.Expect{Aggregate: AgreementsAggregate, Version: l.Version}
}

// CurrentLaw is the law as this process knows it: maybe stale, so an append must expect it, and a refusal must be confirmed by FreshLaw.
func (j *Journal) CurrentLaw(ctx context.Context) (*Law, error) {
	if law := j.law.Load(); law != nil {
		return law, nil
	}
	return j.FreshLaw(ctx)
}

// FreshLaw reads what has been appended to the agreements since, and compiles.
func (j *Journal) FreshLaw(ctx context.Context) (*Law, error) {
	known := j.law.Load()
	from := int32(1)
	if known != nil {
		from = known.Version + 1
	}
	entries, err := j.ReadAggregate(ctx, AgreementsAggregate, from, 0)
	if err != nil {
		return nil, err
	}
	if known != nil && len(entries) == 0 {
		return known, nil
	}
	law, err := j.foldLaw(known, entries)
	if err != nil {
		return nil, err
	}
	j.law.Store(law)
	return law, nil
}

// LawAt is the law just after a position: for re-deriving a decision.
func (j *Journal) LawAt(ctx context.Context, position int64) (*Law, error) {
	entries, err := j.ReadAggregate(ctx, AgreementsAggregate, 1, 0)
	if err != nil {
		return nil, err
	}
	for i := range entries {
		if entries[i].Position > position {
			entries = entries[:i]
			break
		}
	}
	return j.foldLaw(nil, entries)
}

func (j *Journal) foldLaw(from *Law, entries []Entry) (*Law, error) {
	law := &Law{Streams: map[string]StreamOpened{}, StreamOf: map[string]string{}}
	if from != nil {
		law.Version, law.Book = from.Version, from.Book // a Book's methods copy what they change
		law.Streams, law.StreamOf = maps.Clone(from.Streams), maps.Clone(from.StreamOf)
	}
	for _, e := range entries {
		law.Version = e.Version
		if err := law.apply(e.Event); err != nil {
			return nil, fmt.Errorf("journal: agreements at position %d: %w", e.Position, err)
		}
	}
	var err error
	law.Rules, err = consent.Compile(law.Book.Versions(), j.fieldNames)
	if err != nil {
		return nil, fmt.Errorf("journal: compile the agreements: %w", err)
	}
	return law, nil
}

func (l *Law) apply(event any) error {
	switch e := event.(type) {
	case AgreementProposed:
		agreement, err := schemas.UnmarshalDocument(e.Document)
		if err != nil {
			return err
		}
		l.Book.Propose(agreement)
	case AgreementApproved:
		if a, ok := l.Book.Proposed(e.ID, e.Version); ok {
			l.StreamOf[a.ID] = a.Stream
			if _, open := l.Streams[a.Stream]; !open { // pinned by the first approval: a later version can't change its lanes
				l.Streams[a.Stream] = StreamOpened{Stream: a.Stream, Ministry: a.Ministry, Lanes: a.Lanes}
			}
		}
		l.Book.Approve(e.ID, e.Version)
	case AgreementEnded:
		on, err := consent.ParseDate(e.Date)
		if err != nil {
			return err
		}
		l.Book.End(e.ID, on)
	}
	return nil
}

func (j *Journal) fieldNames(eventType string) []string {
	row, ok := j.registry.Row(eventType)
	if !ok {
		return nil
	}
	return row.FieldNames()
}

// Fact is what the law may look at in a change recorded on a date.
func (j *Journal) Fact(change citizen.Change, recorded consent.Date) consent.Fact {
	fact := consent.Fact{Type: change.Type, Recorded: recorded, Verified: change.Verified}
	fact.Effective, _ = consent.ParseDate(change.Effective) // the schema refuses anything else
	row, ok := j.registry.Row(change.Type)
	if !ok {
		return fact
	}
	for bit, field := range row.Fields {
		if _, carried := change.Data[field.Name]; carried {
			fact.Carried |= 1 << bit
		}
	}
	fact.AddressKind, _ = change.Data["kind"].(string)
	fact.Province, _ = change.Data["province"].(string)
	return fact
}

// Agreement is one approved version of an agreement that has not ended.
func (l *Law) Agreement(id string, version int) (*consent.Agreement, bool) {
	for _, a := range l.Book.Versions() {
		if a.ID == id && a.Version == version {
			return &a, true
		}
	}
	return nil, false
}
