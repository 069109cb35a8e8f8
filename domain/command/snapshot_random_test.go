package command_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
)

// modelled is a stream as its ministry sees it, by one agreement and of one citizen: a delivery that shares no code with the real one.
type modelled struct {
	knows       map[int64]consent.FieldSet // by the fact's position
	queue       []queued
	grant, link int64 // since when
	pending     bool  // a trigger came since the last look
}

type queued struct {
	position, since int64
	fields          consent.FieldSet
}

// world is a log and what streams know by it.
type world struct {
	*bundle
	t        *rapid.T
	tb       testing.TB // of helpers
	calendar *calendar
	today    time.Time
	people   []citizen.ID
	versions map[string]int
	streams  map[string]map[citizen.ID]*modelled
	read     map[citizen.ID]int // entries that the streams have read
}

var modelledFields = []string{"city", "street", "postal_code"}

func (w *world) agreement(id string, fields []string) consent.Agreement {
	a := parksPass(w.tb, w.journal)
	a.ID, a.Stream, a.Ministry, a.Version = id, "m."+id, "m", w.versions[id]+1
	a.ValidFrom, a.ValidUntil = 0, 0
	if id != "open" {
		a.Population = consent.PopulationLinked
	}
	if id == "both" {
		a.Basis = consent.Basis{Kind: consent.BasisConsent}
	}
	a.Shares = []consent.Share{{Event: "address-changed", Fields: fields}}
	return a
}

func (w *world) fields(label string) []string {
	return slices.Sorted(slices.Values(rapid.SliceOfNDistinct(rapid.SampledFrom(modelledFields), 1, 3, rapid.ID).Draw(w.t, label)))
}

func (w *world) someone() citizen.ID { return rapid.SampledFrom(w.people).Draw(w.t, "citizen") }

// try is a command that may be refused; nothing but a refusal may go wrong.
func (w *world) try(_ any, err error) bool {
	var rejection *citizen.Rejection
	if err != nil {
		require.True(w.t, errors.As(err, &rejection), "%v", err)
	}
	return err == nil
}

func (w *world) approve() {
	id := rapid.SampledFrom([]string{"open", "linked", "both"}).Draw(w.t, "agreement")
	a := w.agreement(id, w.fields("shared"))
	former, _ := w.law().Book.Find(id)
	if rapid.Bool().Draw(w.t, "home only") {
		a.Shares[0].When.AddressKind = []string{"home"}
	}
	w.approved(w.tb, a)
	w.versions[id]++
	if former != nil && consent.Compare(*former, a).Wider() {
		for _, m := range w.streams[id] {
			m.pending = true
		}
	}
}

func (w *world) law() *journal.Law {
	law, err := w.journal.FreshLaw(context.Background())
	require.NoError(w.t, err)
	return law
}

func (w *world) address() command.Change {
	c := mailing(w.tb, w.journal, fmt.Sprint(rapid.IntRange(1, 9).Draw(w.t, "number"), " St"), "")
	if rapid.Bool().Draw(w.t, "home") {
		c = address(w.tb, w.journal, "1 First St")
	}
	c.Effective = w.today.AddDate(0, 0, rapid.IntRange(-40, 40).Draw(w.t, "days")).Format(time.DateOnly)
	return c
}

// facts are the positions of what a citizen told about addresses.
func (w *world) facts(id citizen.ID) (out []int64) {
	for _, e := range w.history(w.tb, id) {
		if change, ok := e.Event.(citizen.Change); ok && change.Type == "address-changed" {
			out = append(out, e.Position)
		}
	}
	return out
}

// about tells something about what was told.
func (w *world) about(tell func(position int64) command.Change, actor journal.Actor) {
	id := w.someone()
	facts := w.facts(id)
	if len(facts) == 0 {
		return
	}
	w.try(w.command.Tell(context.Background(), by(actor), id, tell(rapid.SampledFrom(facts).Draw(w.t, "fact"))))
}

func (w *world) grants() {
	id := w.someone()
	choice := command.Choice{Agreement: "both"}
	if rapid.Bool().Draw(w.t, "some") {
		choice.Fields = w.fields("granted")
	}
	if w.try(w.command.Grant(context.Background(), by(source), id, choice)) {
		w.streams["both"][id].pending = true
	}
}

func (w *world) links() {
	id := w.someone()
	linking := command.Linking{Ministry: "m", ClientReference: fmt.Sprint(rapid.IntRange(1, 3).Draw(w.t, "reference"))}
	if w.try(w.command.Link(context.Background(), by(source), id, linking)) {
		w.streams["both"][id].pending, w.streams["linked"][id].pending = true, true
	}
}

func (w *world) actions() map[string]func(*rapid.T) {
	ctx := context.Background()
	do := func(f func()) func(*rapid.T) { return func(t *rapid.T) { w.t = t; f() } }
	return map[string]func(*rapid.T){
		"tell":     do(func() { w.try(w.command.Tell(ctx, by(source), w.someone(), w.address())) }),
		"grant":    do(w.grants),
		"withdraw": do(func() { w.try(w.command.Withdraw(ctx, by(source), w.someone(), "both")) }),
		"link":     do(w.links),
		"unlink":   do(func() { w.try(w.command.Unlink(ctx, by(source), w.someone(), "m")) }),
		"approve":  do(w.approve),
		"correct": do(func() {
			w.about(func(p int64) command.Change { return correct(w.tb, w.bundle, p, w.address()) }, source)
		}),
		"cancel": do(func() { w.about(func(p int64) command.Change { return cancel(w.tb, w.bundle, p) }, source) }),
		"verify": do(func() {
			w.about(func(p int64) command.Change { return verify(w.tb, w.bundle, p) }, journal.Actor{Kind: journal.ActorRegistrar})
		}),
		"restrict": do(func() { w.add(w.tb, w.someone(), journal.RestrictionSet{Kind: journal.RestrictionViolence}) }),
		"lift":     do(func() { w.add(w.tb, w.someone(), journal.RestrictionLifted{}) }),
		"days": do(func() {
			w.today = w.today.AddDate(0, 0, rapid.IntRange(1, 20).Draw(w.t, "later"))
			w.calendar.to(w.tb, w.today.Format(time.DateOnly))
		}),
		"deliver": do(w.deliver),
		"settle":  do(w.look),
	}
}

// deliver lets every stream have what is due to it and still permitted.
func (w *world) deliver() {
	law := w.law()
	day := w.journal.DayOf(w.journal.Now(journal.Timing{}))
	for _, id := range w.people {
		entries := w.history(w.tb, id)
		told, err := w.journal.Told(context.Background(), entries)
		require.NoError(w.t, err)
		facts := map[int64]citizen.Change{}
		for i := range entries {
			facts[entries[i].Position] = told[i]
		}
		states, err := w.journal.FreshStates(context.Background(), id)
		require.NoError(w.t, err)
		standing := &states[0].Standing
		for i := w.read[id]; i < len(entries); i++ {
			w.queue(id, &entries[i])
		}
		w.read[id] = len(entries)
		for agreement, streams := range w.streams {
			m := streams[id]
			grant, _ := standing.Grant(agreement)
			link, _ := standing.Link("m")
			if agreement == "both" && m.grant != grant.Since || agreement != "open" && m.link != link.Since {
				m.knows = map[int64]consent.FieldSet{} // the ministry was told that it ended
			}
			m.grant, m.link = grant.Since, link.Since
			for _, q := range m.queue {
				fact := w.journal.Fact(facts[q.position], day.Date)
				if now, reason := consent.Permitted(law.Rules, standing, &fact, agreement, q.since); reason == consent.None {
					m.knows[q.position] |= now & q.fields
				}
			}
			m.queue = nil
		}
	}
}

func (w *world) queue(id citizen.ID, e *journal.Entry) {
	switch event := e.Event.(type) {
	case journal.Decided:
		for _, d := range event.Decisions {
			if m := w.streams[d.Agreement]; m != nil && d.Reason == consent.None {
				m[id].queue = append(m[id].queue, queued{e.Cause, e.Cause, d.Fields})
			}
		}
	case journal.SnapshotTaken:
		if m := w.streams[event.Agreement]; m != nil {
			for _, f := range event.Facts {
				m[id].queue = append(m[id].queue, queued{f.Position, e.Position, f.Fields})
			}
		}
	}
}

// look settles, delivers, and requires that every stream for which a trigger came knows all current and announced values that it may.
func (w *world) look() {
	w.settle(w.tb)
	w.deliver()
	law := w.law()
	day := w.journal.DayOf(w.journal.Now(journal.Timing{}))
	for _, id := range w.people {
		history, entries, err := w.journal.History(context.Background(), id)
		require.NoError(w.t, err)
		state := &journal.State{ID: id}
		for i := range entries {
			state.Fold(&entries[i])
		}
		for agreement, streams := range w.streams {
			m := streams[id]
			if !m.pending {
				continue
			}
			m.pending = false
			for _, f := range slices.Concat(history.On(day.Date.String()), history.Announced(day.Date.String())) {
				fact := w.journal.Fact(f.Change, day.Date)
				now, reason := consent.Permitted(law.Rules, &state.Standing, &fact, agreement, 1<<62)
				if reason == consent.None {
					require.Zero(w.t, now&^m.knows[f.Position], "%s lacks a field of position %d", agreement, f.Position)
				}
			}
		}
	}
	w.lawful()
}

// lawful requires of every snapshot on the log: one for each trigger, and each of its fields permitted at its own position.
func (w *world) lawful() {
	ctx := context.Background()
	for _, id := range w.people {
		taken := map[string]bool{}
		for _, e := range w.history(w.tb, id) {
			s, ok := e.Event.(journal.SnapshotTaken)
			if !ok {
				continue
			}
			name := fmt.Sprint(s.Agreement, s.Cause)
			require.False(w.t, taken[name], "taken twice")
			taken[name] = true
			state, err := w.journal.StatesAt(ctx, e.Position, id)
			require.NoError(w.t, err)
			law, err := w.journal.LawAt(ctx, e.Position)
			require.NoError(w.t, err)
			for _, f := range s.Facts {
				entries, err := w.journal.Read(ctx, f.Position)
				require.NoError(w.t, err)
				told, err := w.journal.Told(ctx, entries)
				require.NoError(w.t, err)
				fact := w.journal.Fact(told[0], w.journal.DayOf(e.RecordedAt).Date)
				now, reason := consent.Permitted(law.Rules, &state.Standing, &fact, s.Agreement, e.Position)
				require.Equal(w.t, consent.None, reason)
				require.Zero(w.t, f.Fields&^now)
				require.True(w.t, state.Stands(f.Position))
			}
		}
	}
}

// TestSnapshotsCompleteWhatStreamsKnow interleaves everything that bears on it, at random.
func TestSnapshotsCompleteWhatStreamsKnow(t *testing.T) {
	t.Parallel()
	const interleavings = 40
	ran, failed := 0, false
	rapid.Check(t, func(rt *rapid.T) {
		if ran++; ran > interleavings && !failed {
			return // enough; but a failure is made smaller
		}
		defer func() { failed = failed || rt.Failed() }()
		b, c := setupOn(t, "2026-03-01")
		w := &world{
			bundle: b, t: rt, tb: t, calendar: c, today: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), versions: map[string]int{},
			streams: map[string]map[citizen.ID]*modelled{}, read: map[citizen.ID]int{},
		}
		var first []consent.Agreement
		for range 2 {
			w.people = append(w.people, b.resident(t))
		}
		for _, id := range []string{"both", "linked", "open"} {
			first = append(first, w.agreement(id, w.fields("shared")))
			w.versions[id]++
			w.streams[id] = map[citizen.ID]*modelled{}
			for _, person := range w.people {
				w.streams[id][person] = &modelled{knows: map[int64]consent.FieldSet{}}
			}
		}
		w.approved(t, first...)
		rt.Repeat(w.actions())
		w.look()
	})
}
