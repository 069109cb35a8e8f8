package main

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/storebench"
)

// benchProve compares what proves over the whole log (re-deriving it, a dry run, verifying it) with a bare replay of the same log in the
// same run: every record read and opened, pages ahead on all processors, and nothing done with it. A second bare replay reads one page
// after another, as a view's rebuild does.
func (c *cli) benchProve(ctx context.Context, b benchConfig, report func(storebench.Line)) error {
	h, closeHub, err := c.benchHub(ctx, 0)
	if err != nil {
		return err
	}
	defer closeHub()
	people, err := h.inventedLog(ctx, b.events)
	if err != nil {
		return err
	}
	head, err := h.journal.Head(ctx)
	if err != nil {
		return err
	}
	candidate, err := h.benchCandidate(ctx)
	if err != nil {
		return err
	}
	total := head.Position + 1
	contenders := []struct {
		name string
		run  func() error
	}{
		{"replay, pages ahead", func() error { return h.bareReplay(ctx, total) }},
		{"replay, page after page", func() error { return h.barePages(ctx, total) }},
		{"re-derive", func() error { _, err := h.audit.Rederive(ctx, nil); return err }},
		{"dry run", func() error { _, err := h.audit.DryRun(ctx, candidate, nil); return err }},
		{"verify", func() error { _, err := h.audit.Verify(ctx, nil); return err }},
	}
	measures := make([][]storebench.Measure, len(contenders))
	for range b.rounds {
		for i, one := range contenders {
			runtime.GC() // the garbage of the one before is not this one's
			began := time.Now()
			if err := one.run(); err != nil {
				return fmt.Errorf("%s: %w", one.name, err)
			}
			measures[i] = append(measures[i], storebench.Measure{Calls: 1, Records: int(total), Elapsed: time.Since(began)})
		}
	}
	for i, one := range contenders[1:] {
		report(storebench.Line{
			Name: fmt.Sprintf("%s of %d records, %d citizens", one.name, total, people), Against: contenders[0].name,
			Ours: storebench.Median(measures[i+1]), Raw: storebench.Median(measures[0]),
		})
	}
	return nil
}

// inventedLog makes a log of about so many events about people with five facts each, and returns how many people there are.
func (h *hub) inventedLog(ctx context.Context, events int) (people int, err error) {
	people = events / 14 // a registration, two links and five facts are fourteen records with their decisions
	in := inventedPeople(people)
	for n := range people * 5 {
		in.Write(append(invented(fmt.Sprintf("bench-%d", n%people), "address-changed", inventedAddress(n)), '\n'))
	}
	return people, importAll(ctx, h, in)
}

// benchCandidate is the next version of an agreement by which most facts of the log are shared, with a field less.
func (h *hub) benchCandidate(ctx context.Context) (consent.Agreement, error) {
	law, err := h.journal.FreshLaw(ctx)
	if err != nil {
		return consent.Agreement{}, err
	}
	agreement, ok := law.Book.Find("moh-health-card")
	if !ok {
		return consent.Agreement{}, fmt.Errorf("the demo's agreements lack the one that is measured")
	}
	agreement.Version++
	agreement.Shares[0].Fields = agreement.Shares[0].Fields[1:]
	return *agreement, nil
}

func (h *hub) bareReplay(ctx context.Context, to int64) error {
	every := func(*eventstore.Recorded) bool { return true }
	return h.journal.Replay(ctx, 0, to, every, func([]journal.Entry) error { return nil })
}

func (h *hub) barePages(ctx context.Context, to int64) error {
	for from := int64(0); from < to; {
		recs, err := h.store.ReadAll(ctx, from, 2000)
		if err != nil {
			return err
		}
		if _, err := h.journal.Open(ctx, recs); err != nil {
			return err
		}
		from += int64(len(recs))
	}
	return nil
}
