package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tellonce/hub/eventstore"
)

// A history is a list of calls in small numbers, so that rapid can shrink it: which aggregate, how far off the version, which command.
type history [][]step

type step struct {
	Aggregates []int // written, in order
	Expect     []off
	Guard      []int // subjects
	After      int   // how far before the head the guard was evaluated
	Restricts  int   // a subject, or -1
	Command    int   // or -1
	Body       int
	At         int // minutes after the history's beginning; -1: the clock
	From       int // minutes, or -1
	Until      int
	Row        int // a key, or -1
	Delete     bool
}

type off struct {
	Aggregate int
	By        int32 // what is expected less what is there
}

const (
	historyAggregates = 5
	historySubjects   = 4
	historyCommands   = 6
	historyKeys       = 3
)

func steps() *rapid.Generator[step] {
	small := func(below int) *rapid.Generator[int] { return rapid.IntRange(0, below-1) }
	rarely := func(below int) *rapid.Generator[int] { return rapid.IntRange(-3*below, below-1) }
	offs := rapid.Custom(func(t *rapid.T) off {
		by := rapid.SampledFrom([]int32{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1, 1}).Draw(t, "by")
		return off{small(historyAggregates).Draw(t, "aggregate"), by}
	})
	return rapid.Custom(func(t *rapid.T) step {
		return step{
			Aggregates: rapid.SliceOfN(small(historyAggregates), 1, 3).Draw(t, "aggregates"),
			Expect:     rapid.SliceOfNDistinct(offs, 0, 3, func(o off) int { return o.Aggregate }).Draw(t, "expect"),
			Guard:      rapid.SliceOfN(small(historySubjects), 0, 2).Draw(t, "guard"),
			After:      rapid.IntRange(-1, 12).Draw(t, "after"),
			Restricts:  max(-1, rarely(historySubjects).Draw(t, "restricts")),
			Command:    max(-1, rarely(historyCommands).Draw(t, "command")),
			Body:       rapid.SampledFrom([]int{0, 0, 0, 0, 1}).Draw(t, "body"),
			At:         rapid.IntRange(-1, 20).Draw(t, "at"),
			From:       max(-1, rarely(8).Draw(t, "from")),
			Until:      max(-1, rarely(20).Draw(t, "until")),
			Row:        max(-1, rarely(historyKeys).Draw(t, "row")),
			Delete:     rapid.Bool().Draw(t, "delete"),
		}
	})
}

func histories() *rapid.Generator[history] {
	return rapid.Custom(func(t *rapid.T) history {
		return rapid.SliceOfN(rapid.SliceOfN(steps(), 1, 4), 1, 12).Draw(t, "calls")
	})
}

// checkHistories holds a store to the model over random histories. One store carries them all, each with aggregates of its own.
func checkHistories(t T, f Factory) {
	fx := begin(t, f)
	if real, ok := t.(*testing.T); ok {
		rapid.Check(real, func(rt *rapid.T) {
			if err := fx.replay(histories().Draw(rt, "history")); err != nil {
				rt.Fatal(err)
			}
		})
		return
	}
	for i := range 200 {
		require.NoError(t, fx.replay(histories().Example(i)))
	}
}

// run is one history on its way through a store and the model.
type run struct {
	fx         *fixture
	model      *model
	began      time.Time
	aggregates [historyAggregates]eventstore.Aggregate
	subjects   [historySubjects]uuid.UUID
	view       string
	seed       uint64
}

// replay does h to the store and to a model that starts from what the store holds, and says where they part.
func (fx *fixture) replay(h history) error {
	r := &run{fx: fx, model: newModel(NoFault), view: uuid.NewString(), seed: uint64(counter.Add(1)) << 16} // #nosec -- > 0
	head, err := fx.store.Head(fx.ctx)
	if err != nil {
		return err
	}
	r.model.base = head.Position + 1
	r.model.identity = &fx.identity
	r.model.last = head.RecordedAt
	r.began = r.model.last.Truncate(time.Minute)
	for i := range r.aggregates {
		r.aggregates[i] = aggregate(eventstore.Category(1 + i%5))
	}
	for i := range r.subjects {
		r.subjects[i] = uuid.New()
	}
	for i, call := range h {
		if err := r.call(call); err != nil {
			return fmt.Errorf("call %d: %w", i, err)
		}
	}
	return r.compare()
}

func (r *run) call(steps []step) error {
	appends := make([]eventstore.Append, 0, len(steps))
	for _, s := range steps {
		appends = append(appends, r.appendOf(s))
	}
	results, err := r.fx.store.Append(r.fx.ctx, appends...)
	// The model takes a zero At for the clock. What the store's clock said is known only if it answered; a refusal doesn't depend on it,
	// because appends with bounds name their time.
	now := func(i int) time.Time {
		if i < len(results) && !results[i].Repeated {
			return results[i].RecordedAt
		}
		return time.Now()
	}
	want, wantErr := r.model.append(now, appends)
	switch {
	case err == nil && wantErr != nil:
		return fmt.Errorf("accepted where the model says: %w", wantErr)
	case err != nil && wantErr == nil:
		return fmt.Errorf("refused where the model accepts: %w", err)
	case err != nil && !errors.Is(err, eventstore.ErrConflict) && !errors.Is(err, eventstore.ErrCommandReused):
		return err
	case err != nil && len(appends) == 1 && errors.Is(err, eventstore.ErrCommandReused) != errors.Is(wantErr, eventstore.ErrCommandReused):
		return fmt.Errorf("answered %w where %w is due", err, wantErr)
	case len(want) != len(results):
		return fmt.Errorf("%d results where %d are due", len(results), len(want))
	}
	for i := range want {
		if err := sameResult(want[i], results[i]); err != nil {
			return fmt.Errorf("append %d: %w", i, err)
		}
	}
	return nil
}

func (r *run) appendOf(s step) eventstore.Append {
	var a eventstore.Append
	for _, i := range s.Aggregates {
		a.Events = append(a.Events, event(r.aggregates[i]))
	}
	if len(a.Events) > 1 {
		a.Events[len(a.Events)-1].Cause = eventstore.CauseBefore(len(a.Events) - 1)
	}
	for _, e := range s.Expect {
		g := r.aggregates[e.Aggregate]
		a.Expect = append(a.Expect, eventstore.Expect{Aggregate: g, Version: max(0, r.model.versions[g]+e.By)})
	}
	for _, i := range s.Guard {
		a.Guard.Subjects = append(a.Guard.Subjects, r.subjects[i])
	}
	a.Guard.After = max(-1, r.model.next()-1-int64(s.After))
	if s.Restricts >= 0 {
		e := &a.Events[0]
		e.Subject, e.Restricting = r.subjects[s.Restricts], true
	}
	if s.Command >= 0 {
		a.Command = numbered(r.seed+uint64(s.Command), uint64(s.Body)) // #nosec -- ≥ 0
	}
	minutes := func(n int) time.Time { return r.began.Add(time.Duration(n) * time.Minute) }
	if s.At >= 0 {
		a.At = minutes(s.At)
		if s.From >= 0 {
			a.Within.From = minutes(s.From)
		}
		if s.Until >= 0 {
			a.Within.Until = minutes(s.Until)
		}
	}
	if s.Row >= 0 {
		row := eventstore.Row{View: r.view, Key: []byte{byte(s.Row)}} // #nosec -- < historyKeys
		if !s.Delete {
			row.Value = a.Events[0].Payload
		}
		a.Rows = append(a.Rows, row)
	}
	return a
}

// compare holds everything that can be read to the model.
func (r *run) compare() error {
	fx := r.fx
	got, err := fx.store.ReadAll(fx.ctx, r.model.base, len(r.model.records)+1)
	if err != nil {
		return err
	}
	if err := sameRecords(r.model.records, got); err != nil {
		return err
	}
	aggregates, err := fx.store.ReadAggregates(fx.ctx, r.aggregates[:]...)
	if err != nil {
		return err
	}
	for i, records := range aggregates {
		if n := r.model.versions[r.aggregates[i]]; int(n) != len(records) {
			return fmt.Errorf("%d records of an aggregate at version %d", len(records), n)
		}
	}
	rows, err := fx.store.Scan(fx.ctx, r.view, nil, nil, 0, false)
	if err != nil {
		return err
	}
	if len(rows) != len(r.model.views[r.view]) {
		return fmt.Errorf("%d rows where %d are due", len(rows), len(r.model.views[r.view]))
	}
	for _, row := range rows {
		if want, ok := r.model.views[r.view][string(row.Key)]; !ok || string(want) != string(row.Value) {
			return fmt.Errorf("row %x has another value", row.Key)
		}
	}
	return nil
}
