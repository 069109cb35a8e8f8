package delivery_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/eventstore"
)

var nobodyAsks = journal.CommandID{}

// TestSynthetic: marked events about nobody, numbered among the others, of their own type or of a fact's; the same bytes whenever they are sent.
func TestSynthetic(t *testing.T) {
	t.Parallel()
	journaltest.OnBothStores(t, journaltest.Options{}, func(t *testing.T, j *journal.Journal) {
		w, ctx := newWorld(t, j), context.Background()
		ministry := journal.Actor{Kind: journal.ActorMinistry, Ministry: "m-linked", ID: "m-linked"}
		w.link("4711")
		w.move("Kenora")
		require.NoError(t, w.delivery.Synthesize(ctx, ministry, nobodyAsks, "s.linked", 2, ""))
		require.NoError(t, w.delivery.Synthesize(ctx, ministry, nobodyAsks, "s.linked", 1, "address-changed"))
		w.move("Dryden")
		got := w.gets("linked", "1 fact Kenora 4711", "2 synthetic 0", "3 synthetic 1", "4 synthetic Sault Ste. Marie synthetic-0", "5 fact Dryden 4711")
		for i := range got[1:4] {
			m := &got[1+i]
			require.Equal(t, "asserted", attribute(m, "assurance"))
			require.Equal(t, "2026-03-02", attribute(m, "effective"))
			require.Equal(t, m.Key, attribute(m, "subject"))
			require.True(t, strings.HasPrefix(m.Key, delivery.SyntheticPrefix), m.Key)
			require.Len(t, m.Key, len(got[0].Key), "it looks like a person's id")
		}
		require.Equal(t, "tellonce.synthetic.v1", attribute(&got[1], "type"))
		require.Empty(t, attribute(&got[1], "agreement"))
		require.Equal(t, "tellonce.address-changed.v1", attribute(&got[3], "type"))
		require.Equal(t, "linked@1", attribute(&got[3], "agreement"))
		require.Equal(t, got[1].Key, got[3].Key, "an index has one subject")
		require.NotEqual(t, got[1].Key, got[2].Key)

		// They are answered as all others; words about nobody are sealed under nobody's key, and so are not kept.
		require.NoError(t, w.delivery.Record(ctx, ministry, nobodyAsks, "s.linked", []delivery.Receipt{
			{From: "1.0.1", To: "1.0.3", Status: delivery.Applied}, {From: "1.0.4", To: "1.0.4", Status: delivery.StatusRejected, Reason: "no such client"},
		}))
		lag, err := w.delivery.Lag(ctx, "s.linked")
		require.NoError(t, err)
		require.EqualValues(t, []int64{5, 3, 1}, []int64{lag[0].Last, lag[0].Applied, lag[0].Rejected})

		require.NoError(t, w.delivery.Pause(ctx, ministry, nobodyAsks, "s.linked"))
		_, err = w.delivery.Next(ctx, "s.linked", 0, 0, 10, 0)
		require.ErrorIs(t, err, delivery.ErrPaused)
		require.NoError(t, w.delivery.Resume(ctx, ministry, nobodyAsks, "s.linked"))

		same := w.again("linked", "1 fact Kenora 4711", "2 synthetic 0", "3 synthetic 1", "4 synthetic Sault Ste. Marie synthetic-0", "5 fact Dryden 4711")
		require.Equal(t, got, same)
		w.nobodys(w.citizen, 2)
		w.rebuilds()

		// The agreement is over: what was told is not sent again, what was made up is, with the same bytes; and what was asked for comes.
		require.NoError(t, w.delivery.Synthesize(ctx, ministry, nobodyAsks, "s.linked", 1, "address-changed"))
		_, err = w.command.EndAgreement(ctx, w.by(operator), "linked", "")
		require.NoError(t, err)
		w.after["linked"] = 0
		page, err := w.delivery.Next(ctx, "s.linked", 0, 0, 5, 0)
		require.NoError(t, err)
		require.True(t, page.Messages[0].Recalled())
		require.Equal(t, got[1:4], page.Messages[1:4])
		w.after["linked"] = 5
		w.gets("linked", "6 synthetic 0", "7 ended")
		w.rebuilds()
	})
}

// nobodys requires that a person's trail and what was handed over hold so many events, and that nobody's trail holds none.
func (w *world) nobodys(id citizen.ID, events int) {
	w.Helper()
	for about, want := range map[citizen.ID]int{id: events, {}: 0} {
		given, err := journal.NewTrail(w.journal).Given(w.ctx, about)
		require.NoError(w, err)
		require.Len(w, given, want)
		for i := range given {
			require.NotEqual(w, delivery.KindSynthetic, given[i].Item.Kind)
		}
	}
}

// TestSyntheticIsRefused: what can't be asked for, and by whom.
func TestSyntheticIsRefused(t *testing.T) {
	t.Parallel()
	journaltest.OnBothStores(t, journaltest.Options{}, func(t *testing.T, j *journal.Journal) {
		w, ctx := newWorld(t, j), context.Background()
		ask := func(actor journal.Actor, stream string, count int, factType string) error {
			return w.delivery.Synthesize(ctx, actor, nobodyAsks, stream, count, factType)
		}
		head := w.head()
		for _, count := range []int{-1, 0, 1001} {
			var wrong *delivery.SyntheticError
			require.ErrorAs(t, ask(operator, "s.statute", count, ""), &wrong)
			require.Equal(t, "count", wrong.Member)
		}
		for _, factType := range []string{"name-changed", "no-such-type", "change-corrected"} {
			var wrong *delivery.SyntheticError
			require.ErrorAs(t, ask(operator, "s.statute", 1, factType), &wrong)
			require.Equal(t, delivery.SyntheticError{Member: "type", Detail: "must be one that the stream carries: address-changed, death-registered"}, *wrong)
		}
		require.ErrorIs(t, ask(operator, "s.nowhere", 1, ""), delivery.ErrUnknownStream)
		require.ErrorIs(t, ask(journal.Actor{Kind: journal.ActorMinistry, Ministry: "m-consent"}, "s.statute", 1, ""), delivery.ErrNotYours)
		require.ErrorIs(t, ask(source, "s.statute", 1, ""), delivery.ErrNotYours)
		require.Equal(t, head, w.head())

		command := journal.CommandID{Issuer: "test", ID: "9c7ac3c6-6a62-4b3f-8b6e-2f6d7e0c2a51", Content: []byte("two")}
		for range 2 {
			require.NoError(t, w.delivery.Synthesize(ctx, operator, command, "s.statute", 2, ""))
		}
		w.gets("statute", "1 synthetic 0", "2 synthetic 1")
		command.Content = []byte("three")
		require.ErrorIs(t, w.delivery.Synthesize(ctx, operator, command, "s.statute", 3, ""), eventstore.ErrCommandReused)
	})
}

// TestSyntheticOnEveryLane: what is asked for comes in turn on all lanes, by pages of any size, and each subject stays on its lane.
func TestSyntheticOnEveryLane(t *testing.T) {
	t.Parallel()
	journaltest.OnBothStores(t, journaltest.Options{}, func(t *testing.T, j *journal.Journal) {
		w, ctx := newWorld(t, j), context.Background()
		w.load(w.agreement("wide", 1, worldAgreements["statute"]+"\nlanes: 3"))
		require.NoError(t, w.delivery.Synthesize(ctx, operator, nobodyAsks, "s.wide", 1000, "address-changed"))
		require.NoError(t, w.delivery.Synthesize(ctx, operator, nobodyAsks, "s.wide", 4, ""))
		laneOf, all := map[string]int{}, 0
		for lane := range 3 {
			after := int64(0)
			for limit := 1; ; limit += 37 {
				page, err := w.delivery.Next(ctx, "s.wide", lane, after, limit, 0)
				require.NoError(t, err)
				if len(page.Messages) == 0 {
					break
				}
				for i := range page.Messages {
					m := &page.Messages[i]
					require.Equal(t, after+1, m.Cursor.Number)
					after = m.Cursor.Number
					if before, ok := laneOf[m.Key]; ok {
						require.Equal(t, before, lane)
					}
					laneOf[m.Key] = lane
					all++
				}
			}
			require.EqualValues(t, []int64{336, 334, 334}[lane], after)
		}
		require.Equal(t, 1004, all)
		require.Len(t, laneOf, 1000)
		w.rebuilds()
	})
}

// TestSyntheticAmongOthers is the property: whatever is told, asked for, corrected and withdrawn meanwhile, a lane's order is that of the log, given
// numbers keep their bytes, and no synthetic event is ever about a person.
func TestSyntheticAmongOthers(t *testing.T) {
	t.Parallel()
	const perWorld = 10 // lives on a log: each is a resident's own, and begins where the one before ended
	var w *world
	streams, lives := []string{"statute", "consent", "linked"}, 0
	rapid.Check(t, func(rt *rapid.T) {
		if lives++; lives%perWorld == 1 {
			w = newWorld(t, journaltest.New(t, journaltest.Options{}))
		}
		begin := map[string]int{}
		for _, id := range streams {
			for len(w.readOn(id, 1000)) > 0 {
			}
			begin[id] = int(w.after[id])
		}
		w.citizen = w.resident()
		w.grant()
		w.link(fmt.Sprint(lives))
		var told []int64
		seen := map[string][]delivery.Message{}
		asked, people := map[string]int{}, map[string]bool{}
		for step := range rapid.IntRange(3, 20).Draw(rt, "steps") {
			id := rapid.SampledFrom(streams).Draw(rt, "stream")
			switch rapid.SampledFrom([]string{"tell", "correct", "synth", "shaped", "read", "withdraw"}).Draw(rt, "do") {
			case "tell":
				told = append(told, w.move(fmt.Sprintf("City %d", step)))
			case "correct":
				if len(told) > 0 {
					w.correct(told[len(told)-1], w.today(), fmt.Sprintf("Corrected %d", step))
					told = told[:len(told)-1]
				}
			case "synth", "shaped":
				count := rapid.IntRange(1, 5).Draw(rt, "count")
				factType := rapid.SampledFrom([]string{"", "address-changed"}).Draw(rt, "type")
				require.NoError(rt, w.delivery.Synthesize(w.ctx, operator, nobodyAsks, "s."+id, count, factType))
				asked[id] += count
			case "read":
				seen[id] = append(seen[id], w.readOn(id, rapid.IntRange(1, 4).Draw(rt, "limit"))...)
			case "withdraw":
				w.withdraw()
				w.grant()
			}
		}
		for _, id := range streams {
			for {
				page := w.readOn(id, 3)
				if seen[id] = append(seen[id], page...); len(page) == 0 {
					break
				}
			}
			w.after[id] = int64(begin[id])
			var again []delivery.Message
			for len(again) < len(seen[id]) {
				again = append(again, w.readOn(id, 7)...)
			}
			order, synthetic := w.orders(id)[begin[id]:], 0
			require.Len(rt, order, len(seen[id]))
			for i := range seen[id] {
				m := &seen[id][i]
				require.EqualValues(rt, begin[id]+i+1, m.Cursor.Number)
				require.True(rt, again[i].Recalled() || bytes.Equal(m.Structured(), again[i].Structured()), "number %d of %s", i+1, id)
				if attribute(m, "kind") != delivery.KindSynthetic {
					people[m.Key] = true
					continue
				}
				synthetic++
				require.False(rt, again[i].Recalled())
				if i > 0 {
					require.LessOrEqual(rt, order[i-1], order[i], "number %d of %s", i+1, id)
				}
			}
			require.Equal(rt, asked[id], synthetic)
		}
		for key := range people {
			require.False(rt, strings.HasPrefix(key, delivery.SyntheticPrefix))
		}
		given, err := journal.NewTrail(w.journal).Given(w.ctx, w.citizen)
		require.NoError(rt, err)
		for i := range given {
			require.NotEqual(rt, delivery.KindSynthetic, given[i].Item.Kind)
		}
		if lives%perWorld == 0 {
			w.rebuilds()
		}
	})
}

func (w *world) readOn(agreement string, limit int) []delivery.Message {
	w.Helper()
	page, err := w.delivery.Next(w.ctx, "s."+agreement, 0, w.after[agreement], limit, 0)
	require.NoError(w, err)
	w.after[agreement] += int64(len(page.Messages))
	return page.Messages
}

// orders are the places in the log of a stream's numbers, by what was disclosed.
func (w *world) orders(agreement string) []int64 {
	w.Helper()
	recs, err := w.journal.Store().ReadAggregate(w.ctx, journal.LaneAggregate("s."+agreement, 0), 1, 0)
	require.NoError(w, err)
	entries, err := w.journal.Open(w.ctx, recs)
	require.NoError(w, err)
	var out []int64
	for i := range entries {
		if d, ok := entries[i].Event.(journal.Disclosed); ok {
			for n := range d.Items {
				out = append(out, d.Items[n].Order())
			}
		}
	}
	return out
}

// TestSyntheticOfEveryType: whatever a stream carries can be made up, and is what its schema says.
func TestSyntheticOfEveryType(t *testing.T) {
	t.Parallel()
	w := newWorld(t, journaltest.New(t, journaltest.Options{}))
	var shares, types []string
	for _, row := range w.journal.Registry().Rows() {
		if row.Fact && len(row.FieldNames()) > 0 {
			shares = append(shares, fmt.Sprintf("  - {event: %s, fields: [%s]}", row.Type, strings.Join(row.FieldNames(), ", ")))
			types = append(types, row.Type)
		}
	}
	w.load(w.agreement("everything", 1, "basis: {kind: statute, reference: \"Illustration only\"}\npopulation: all\nshares:\n"+strings.Join(shares, "\n")))
	got := map[string]map[string]any{}
	for _, factType := range types {
		require.NoError(t, w.delivery.Synthesize(w.ctx, operator, nobodyAsks, "s.everything", 1, factType))
		m := w.readOn("everything", 1)[0]
		require.Equal(t, "tellonce."+factType+".v1", attribute(&m, "type"))
		var data map[string]any
		require.NoError(t, json.Unmarshal(m.Data, &data))
		require.NotEmpty(t, data, factType)
		for name, value := range data {
			require.NotNil(t, value, "%s of %s", name, factType)
		}
		got[factType] = data
	}
	require.Equal(t, "Sault Ste. Marie", got["address-changed"]["city"])
}
