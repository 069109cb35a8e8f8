package audit

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/merkle"
	"github.com/tellonce/hub/eventstore/seal"
)

// VerifyReport is what the log's own check came to.
type VerifyReport struct {
	Records int64 `json:"records"`
	Opened  int64 `json:"opened"` // payloads that open and are what their record commits to
	Erased  int64 `json:"erased"` // payloads whose key is destroyed, and an erased event about their subject names the class
	// Locked are payloads that only two officers together may open: their leaves are checked, what they say is not.
	Locked int64 `json:"locked"`
	// Destroyed are payloads whose key is destroyed, and no event on the log says so.
	Destroyed int64 `json:"destroyed"`
	Tampered  int64 `json:"tampered"` // other findings
	// Findings are the first of both kinds, at most 100 each, by position.
	Findings []Finding `json:"findings,omitempty"`
}

// Failed says whether the log is not what it should be.
func (r *VerifyReport) Failed() bool { return r.Destroyed > 0 || r.Tampered > 0 }

// Finding is one thing that is wrong. It holds nothing personal.
type Finding struct {
	Position int64  `json:"position"`
	What     string `json:"what"`
}

// What is wrong with a record.
const (
	FoundIdentity  = "identity"  // the store or its keys belong to another log or generation than genesis says
	FoundMissing   = "missing"   // records from this position on are not there
	FoundLeaf      = "leaf"      // the record's fields are not those that its leaf was made of
	FoundPayload   = "payload"   // the payload does not open, or is not what the record commits to
	FoundNoKey     = "no-key"    // the key store has never heard of the payload's key
	FoundVersion   = "version"   // the version is not the next of its aggregate
	FoundTime      = "time"      // recorded before the record before it
	FoundCause     = "cause"     // caused by something later
	FoundDestroyed = "destroyed" // the key is destroyed without an erasure event
)

// Sentence says what is wrong, for people.
func (f Finding) Sentence() string {
	switch f.What {
	case FoundIdentity:
		return "the store belongs to another log or generation than genesis says"
	case FoundMissing:
		return "records are missing from here on"
	case FoundLeaf:
		return "the record's fields are not those that its leaf was made of"
	case FoundPayload:
		return "the payload does not open, or is not what the record commits to"
	case FoundNoKey:
		return "the key store has never heard of the payload's key"
	case FoundVersion:
		return "the version is not the next of its aggregate"
	case FoundTime:
		return "it is recorded before the record before it"
	case FoundCause:
		return "it is caused by something later"
	case FoundDestroyed:
		return "the payload's key is destroyed, and no erasure event says so"
	}
	return f.What
}

// Verify checks every record of the log against itself: leaf, order, versions, payload, and that what can't be read was erased by an event.
// It finds what was edited by someone who could write to the store. Someone who also makes new leaves, or cuts off the log's end, is found
// by a checkpoint that others hold. progress, if not nil, is told how far of how much.
func (a *Audit) Verify(ctx context.Context, progress func(done, total int64)) (VerifyReport, error) {
	head, err := a.journal.Head(ctx)
	if err != nil {
		return VerifyReport{}, err
	}
	identity, err := a.journal.Store().Identity(ctx)
	if err != nil {
		return VerifyReport{}, err
	}
	v := newVerifier(a.journal)
	if identity != v.identity {
		v.found(0, FoundIdentity)
	}
	total := head.Position + 1
	err = eventstore.ReadAhead(ctx, a.journal.Store(), 0, total, v.check, func(page []checked) error {
		for i := range page {
			if err := v.take(ctx, &page[i]); err != nil {
				return err
			}
		}
		if progress != nil {
			progress(v.next, total)
		}
		return nil
	})
	if err != nil {
		return VerifyReport{}, err
	}
	if v.next < total {
		v.found(v.next, FoundMissing)
	}
	return v.finish(), nil
}

// checked is a record with what is known of it alone.
type checked struct {
	*eventstore.Recorded
	leaf   bool  // is that of the record's fields
	opened error // why it does not open; nil: it does
}

// verifier is one run of Verify.
type verifier struct {
	journal   *journal.Journal
	identity  eventstore.Identity // as genesis says
	report    VerifyReport
	next      int64 // the position expected
	last      time.Time
	versions  map[eventstore.Aggregate]int32
	destroyed map[seal.KeyID]*closed
	erased    map[seal.KeyID]bool // named by an erased event
}

// closed is what a destroyed key had closed.
type closed struct {
	records   int64
	positions []int64 // the first of them
}

func newVerifier(j *journal.Journal) *verifier {
	genesis := j.Genesis()
	return &verifier{
		journal: j, identity: eventstore.Identity{LogID: genesis.LogID, Generation: int64(genesis.Generation)},
		versions: map[eventstore.Aggregate]int32{}, destroyed: map[seal.KeyID]*closed{}, erased: map[seal.KeyID]bool{},
	}
}

// check is what can be said of each record of a page alone; pages are checked side by side.
func (v *verifier) check(ctx context.Context, recs []eventstore.Recorded) ([]checked, error) {
	errs, err := v.journal.Check(ctx, recs)
	if err != nil {
		return nil, err
	}
	out := make([]checked, len(recs))
	var buf []byte
	for i := range recs {
		fields := eventstore.LeafRecord(v.identity, &recs[i])
		var leaf [32]byte
		leaf, buf = merkle.LeafHash(buf, &fields)
		out[i] = checked{Recorded: &recs[i], leaf: leaf == recs[i].Leaf, opened: errs[i]}
	}
	return out, nil
}

// take checks a record against those before it.
func (v *verifier) take(ctx context.Context, r *checked) error {
	v.report.Records++
	if r.Position != v.next {
		v.found(v.next, FoundMissing)
	}
	v.next = r.Position + 1
	if !r.leaf {
		v.found(r.Position, FoundLeaf)
	}
	if v.versions[r.Aggregate]+1 != r.Version {
		v.found(r.Position, FoundVersion)
	}
	v.versions[r.Aggregate] = r.Version
	if r.RecordedAt.Before(v.last) {
		v.found(r.Position, FoundTime)
	}
	v.last = r.RecordedAt
	if r.Cause >= r.Position {
		v.found(r.Position, FoundCause)
	}
	return v.payload(ctx, r)
}

// payload files what became of a record's content.
func (v *verifier) payload(ctx context.Context, r *checked) error {
	switch {
	case r.opened == nil:
		v.report.Opened++
		if r.Type == journal.TypeErased {
			return v.erasure(ctx, r)
		}
	case errors.Is(r.opened, seal.ErrDestroyed):
		key := seal.KeyID{Subject: r.Subject, Class: r.Class}
		c := v.destroyed[key]
		if c == nil {
			c = &closed{}
			v.destroyed[key] = c
		}
		if c.records++; len(c.positions) < maxFindings {
			c.positions = append(c.positions, r.Position)
		}
	case errors.Is(r.opened, seal.ErrLocked):
		v.report.Locked++
	case errors.Is(r.opened, seal.ErrNoKey):
		v.found(r.Position, FoundNoKey)
	default:
		v.found(r.Position, FoundPayload)
	}
	return nil
}

// erasure remembers which classes an erased event names.
func (v *verifier) erasure(ctx context.Context, r *checked) error {
	entries, err := v.journal.Open(ctx, []eventstore.Recorded{*r.Recorded})
	if err != nil {
		return err
	}
	if e, ok := entries[0].Event.(journal.Erased); ok && r.leaf {
		for _, class := range e.Classes {
			v.erased[seal.KeyID{Subject: r.Subject, Class: class}] = true
		}
	}
	return nil
}

func (v *verifier) found(position int64, what string) {
	if v.report.Tampered++; v.report.Tampered <= maxFindings {
		v.report.Findings = append(v.report.Findings, Finding{Position: position, What: what})
	}
}

// finish tells the erased from the destroyed: an erasure stands on the log after what it closes.
func (v *verifier) finish() VerifyReport {
	var positions []int64
	for key, c := range v.destroyed {
		if v.erased[key] {
			v.report.Erased += c.records
			continue
		}
		v.report.Destroyed += c.records
		positions = append(positions, c.positions...)
	}
	slices.Sort(positions)
	for _, position := range positions[:min(len(positions), maxFindings)] {
		v.report.Findings = append(v.report.Findings, Finding{Position: position, What: FoundDestroyed})
	}
	slices.SortStableFunc(v.report.Findings, func(a, b Finding) int { return cmp.Compare(a.Position, b.Position) })
	return v.report
}
