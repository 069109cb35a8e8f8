package journal

import (
	"context"
	"errors"
	"fmt"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/seal"
)

// Replay reads the log from a position up to (excluding) another and gives fn its entries in order, page by page: one for every record,
// decoded where it is wanted, else with the Recorded alone. A destroyed key is an entry's Err, as with Open. Pages are read and decoded
// ahead of fn, on several processors. A log with a gap can't be replayed: ErrMissing, with the first missing position.
func (j *Journal) Replay(ctx context.Context, from, to int64, wanted func(*eventstore.Recorded) bool, fn func([]Entry) error) error {
	next := from
	open := func(ctx context.Context, recs []eventstore.Recorded) ([]Entry, error) {
		return j.openWanted(ctx, recs, wanted)
	}
	err := eventstore.ReadAhead(ctx, j.store, from, to, open, func(entries []Entry) error {
		for i := range entries {
			if entries[i].Position != next {
				return missing(next)
			}
			next++
		}
		return fn(entries)
	})
	if err == nil && next < to {
		return missing(next)
	}
	return err
}

// ErrMissing is a log with a gap: records were taken out of it.
var ErrMissing = errors.New("journal: records are missing")

func missing(position int64) error {
	return fmt.Errorf("%w: the one at position %d", ErrMissing, position)
}

// openWanted is Open for some of many: those not wanted are entries without content.
func (j *Journal) openWanted(ctx context.Context, recs []eventstore.Recorded, wanted func(*eventstore.Recorded) bool) ([]Entry, error) {
	open := make([]eventstore.Recorded, 0, len(recs))
	for i := range recs {
		if wanted(&recs[i]) {
			open = append(open, recs[i])
		}
	}
	opened, err := j.Open(ctx, open)
	if err != nil || len(opened) == len(recs) {
		return opened, err
	}
	entries := make([]Entry, len(recs))
	for i := range recs {
		if len(opened) > 0 && opened[0].Position == recs[i].Position {
			entries[i], opened = opened[0], opened[1:]
			continue
		}
		entries[i].Recorded = recs[i]
	}
	return entries, nil
}

// Check tries to open records and says of each why it doesn't: nil where the payload opens and is what the record commits to, else an
// error that is seal.ErrDestroyed, ErrLocked, ErrTampered, ErrNoKey or ErrWrongWrapper. Nothing of what they say is returned.
func (j *Journal) Check(ctx context.Context, recs []eventstore.Recorded) ([]error, error) {
	_, err := j.keyring.OpenAll(ctx, recs)
	var partial *seal.PartialError
	if errors.As(err, &partial) {
		return partial.Errs, nil
	}
	return make([]error, len(recs)), err
}

// FoldLaw is the law after more entries of the agreements, in order; from is nil at the beginning of the log, and stays as it is.
func (j *Journal) FoldLaw(from *Law, entries ...Entry) (*Law, error) { return j.foldLaw(from, entries) }

// Compile compiles agreements that are not on the log, for a dry run: by the registry's types and fields.
func (j *Journal) Compile(agreements ...consent.Agreement) (*consent.Rules, error) {
	return consent.Compile(agreements, j.fieldNames)
}
