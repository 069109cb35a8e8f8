package ministry_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tellonce/hub/adapters/ministry"
	"github.com/tellonce/hub/adapters/ministry/sqlitestore"
)

// table is a consumer with a table in a SQLite file.
type table struct {
	*ministry.Consumer
	*sqlitestore.Store
}

func newTable(t testing.TB) *table {
	t.Helper()
	store, err := sqlitestore.Open(context.Background(), filepath.Join(memory(t), "table.sqlite"), stream)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	consumer, err := ministry.New(ministry.Config{Stream: stream, Store: store, Handler: ministry.Table{Records: store}})
	require.NoError(t, err)
	return &table{consumer, store}
}

// holds says what of a person holds on a day: type, key, city, standing and cursor, one a line.
func (tb *table) holds(t testing.TB, subject, date string) []string {
	t.Helper()
	values, err := tb.Values(context.Background(), subject)
	require.NoError(t, err)
	out := []string{}
	for _, v := range ministry.Current(values, date) {
		var data struct{ City string }
		require.NoError(t, json.Unmarshal(v.Fields, &data))
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", v.Key, data.City, v.Standing, v.Cursor)))
	}
	return out
}

// told is one event of a scenario; its number is its place.
type told struct {
	kind    string
	members map[string]any
}

func value(kind, city string, members map[string]any) told {
	all := map[string]any{"data": map[string]any{"city": city, "kind": "home"}}
	for name, v := range members {
		all[name] = v
	}
	return told{kind, all}
}

func (tb *table) tell(t testing.TB, events ...told) {
	t.Helper()
	for i, e := range events {
		require.NoError(t, tb.Deliver(context.Background(), parse(t, given(0, int64(i+1), e.kind, e.members))...))
	}
}

type m = map[string]any

func TestWhatHolds(t *testing.T) {
	t.Parallel()
	const later, at = "2026-12-31", "2026-03-09T00:00:00Z"
	for name, c := range map[string]struct {
		events []told
		date   string
		want   []string
	}{
		"nothing":            {nil, later, []string{}},
		"a fact":             {[]told{value("fact", "Kenora", nil)}, later, []string{"home Kenora stands 1.0.1"}},
		"not before its day": {[]told{value("fact", "Kenora", nil)}, "2026-03-31", []string{}},
		"the newest, whatever was told last": {
			[]told{value("fact", "Kenora", m{"effective": "2026-05-01"}), value("fact", "Thunder Bay", m{"effective": "2026-04-01"})}, later,
			[]string{"home Kenora stands 1.0.1"},
		},
		"the one before, before the newest's day": {
			[]told{value("fact", "Kenora", m{"effective": "2026-05-01"}), value("fact", "Thunder Bay", m{"effective": "2026-04-01"})}, "2026-04-30",
			[]string{"home Thunder Bay stands 1.0.2"},
		},
		"of one day the one told last": {
			[]told{value("fact", "Kenora", nil), value("fact", "Thunder Bay", nil)}, later, []string{"home Thunder Bay stands 1.0.2"},
		},
		"each key by itself": {
			[]told{value("fact", "Kenora", nil), value("fact", "x", m{"data": m{"city": "Ottawa", "kind": "mailing"}})}, later,
			[]string{"home Kenora stands 1.0.1", "mailing Ottawa stands 1.0.2"},
		},
		"a correction takes the place": {
			[]told{value("fact", "Kenroa", nil), value("correction", "Kenora", m{"corrects": "1.0.1"})}, later, []string{"home Kenora stands 1.0.2"},
		},
		"and its rank": {
			[]told{value("fact", "Kenroa", nil), value("fact", "Thunder Bay", nil), value("correction", "Kenora", m{"corrects": "1.0.1"})}, later,
			[]string{"home Thunder Bay stands 1.0.2"},
		},
		"also if what it corrects was recalled": {
			[]told{{"recalled", nil}, value("fact", "Thunder Bay", nil), value("correction", "Kenora", m{"corrects": "1.0.1"})}, later,
			[]string{"home Thunder Bay stands 1.0.2"},
		},
		"a correction of a correction": {
			[]told{value("fact", "a", nil), value("correction", "b", m{"corrects": "1.0.1"}), value("correction", "c", m{"corrects": "1.0.2"})}, later,
			[]string{"home c stands 1.0.3"},
		},
		"what is retracted gives way to what was before": {
			[]told{value("fact", "Kenora", nil), value("fact", "Thunder Bay", nil), {"retracted", m{"corrects": "1.0.2"}}}, later,
			[]string{"home Kenora stands 1.0.1"},
		},
		"a snapshot gives the same fact again, with other fields": {
			[]told{value("fact", "Kenora", m{"time": at}), {"ended", nil}, value("snapshot", "Kenora", m{"time": at}), {"retracted", m{"corrects": "1.0.3"}}}, later,
			[]string{},
		},
		"a snapshot of the later of two facts of one second": {
			[]told{value("fact", "a", m{"time": at}), value("fact", "b", m{"time": at}), value("snapshot", "b", m{"time": at}), {"retracted", m{"corrects": "1.0.3"}}},
			later, []string{"home a stands 1.0.1"},
		},
		"a snapshot of another fact": {
			[]told{value("fact", "a", m{"time": at}), value("snapshot", "b", m{"time": "2026-03-10T00:00:00Z"})}, later, []string{"home b stands 1.0.2"},
		},
		"what ended is marked": {
			[]told{value("fact", "Kenora", nil), {"ended", nil}}, later, []string{"home Kenora ended 1.0.1"},
		},
		"only under its agreement": {
			[]told{value("fact", "Kenora", nil), {"ended", m{"agreement": "another@1"}}}, later, []string{"home Kenora stands 1.0.1"},
		},
		"leaving is marked, until something new comes": {
			[]told{value("fact", "Kenora", nil), {"left-scope", nil}}, later, []string{"home Kenora left-scope 1.0.1"},
		},
		"then it stands": {
			[]told{value("fact", "Kenora", nil), {"left-scope", nil}, value("fact", "Ottawa", nil)}, later, []string{"home Ottawa stands 1.0.3"},
		},
		"what is erased is gone": {
			[]told{value("fact", "a", nil), value("fact", "b", nil), {"erased", m{"subject": "", "data": m{"cursors": []string{"1.0.2", "1.0.9"}}}}}, later,
			[]string{"home a stands 1.0.1"},
		},
		"somebody who is known by another id": {
			[]told{value("fact", "a", m{"subject": "v1.old"}), {"rekeyed", m{"subject": "v1.old", "data": m{"subject": "v1.person"}}}}, later,
			[]string{"home a stands 1.0.1"},
		},
		"and what comes later under the former one": {
			[]told{{"rekeyed", m{"subject": "v1.old", "data": m{"subject": "v1.person"}}}, value("fact", "a", m{"subject": "v1.old"})}, later,
			[]string{"home a stands 1.0.2"},
		},
		"also over two steps, in whatever order": {
			[]told{
				{"rekeyed", m{"subject": "v1.b", "data": m{"subject": "v1.person"}}}, value("fact", "a", m{"subject": "v1.a"}),
				{"rekeyed", m{"subject": "v1.a", "data": m{"subject": "v1.b"}}},
			}, later, []string{"home a stands 1.0.2"},
		},
		"and back": {
			[]told{
				{"rekeyed", m{"subject": "v1.b", "data": m{"subject": "v1.person"}}}, {"rekeyed", m{"subject": "v1.person", "data": m{"subject": "v1.b"}}},
				value("fact", "a", m{"subject": "v1.b"}),
			}, later, []string{"home a stands 1.0.3"},
		},
		"synthetic events are about nobody": {
			[]told{{"synthetic", m{"type": "tellonce.address-changed.v1", "data": m{"city": "x"}}}}, later, []string{},
		},
		"what has no meaning here is passed over": {[]told{{"new-kind", nil}, value("fact", "a", nil)}, later, []string{"home a stands 1.0.2"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tb := newTable(t)
			tb.tell(t, c.events...)
			require.Equal(t, c.want, tb.holds(t, "v1.person", c.date))
			last, err := tb.Last(context.Background(), 0)
			require.NoError(t, err)
			require.Equal(t, int64(len(c.events)), last.Number)
		})
	}
}

// TestErasureLeavesNothing: neither a value nor who somebody once was.
func TestErasureLeavesNothing(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	tb.tell(
		t, value("fact", "a", m{"subject": "v1.canary"}), told{"rekeyed", m{"subject": "v1.canary", "data": m{"subject": "v1.person"}}},
		told{"erased", m{"subject": "", "data": m{"cursors": []string{"1.0.1", "1.0.2"}}}},
	)
	subject, err := tb.Resolve(context.Background(), "v1.canary")
	require.NoError(t, err)
	require.Equal(t, "v1.canary", subject)
	all, err := tb.All(context.Background())
	require.NoError(t, err)
	require.Empty(t, all)
}

// TestTheViewIsCurrent: what SQL shows for today is what Current says, of every person.
func TestTheViewIsCurrent(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		tb := newTable(t)
		for n := range rapid.IntRange(1, 12).Draw(rt, "events") {
			members := m{
				"effective": rapid.SampledFrom([]string{"2001-01-01", "2002-01-01", "9999-01-01"}).Draw(rt, "effective"),
				"subject":   rapid.SampledFrom([]string{"v1.a", "v1.b"}).Draw(rt, "subject"),
				"agreement": rapid.SampledFrom([]string{"x@1", "y@1"}).Draw(rt, "agreement"),
			}
			kind := "fact"
			if n > 0 && rapid.Bool().Draw(rt, "correct") {
				kind, members["corrects"] = "correction", fmt.Sprintf("1.0.%d", rapid.IntRange(1, n).Draw(rt, "corrects"))
			}
			require.NoError(rt, tb.Deliver(context.Background(), parse(rt, given(0, int64(n+1), kind, members))...))
		}
		var want, got []string
		for _, subject := range []string{"v1.a", "v1.b"} {
			values, err := tb.Values(context.Background(), subject)
			require.NoError(rt, err)
			for _, v := range ministry.Current(values, "2003-01-01") {
				want = append(want, v.Subject+v.Agreement+v.Cursor.String())
			}
		}
		rows, err := tb.DB().QueryContext(context.Background(), `select subject || agreement || cursor from current_values`)
		require.NoError(rt, err)
		defer rows.Close() //nolint:errcheck // a test's
		for rows.Next() {
			var one string
			require.NoError(rt, rows.Scan(&one))
			got = append(got, one)
		}
		require.NoError(rt, rows.Err())
		slices.Sort(want)
		slices.Sort(got)
		require.Equal(rt, want, got)
	})
}
