package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/tellonce/hub/eventstore"
)

func row(view, key, value string) eventstore.Row {
	return eventstore.Row{View: view, Key: []byte(key), Value: []byte(value)}
}

func (fx *fixture) get(view string, keys ...string) []string {
	fx.t.Helper()
	asked := make([][]byte, len(keys))
	for i, k := range keys {
		asked[i] = []byte(k)
	}
	got, err := fx.store.Get(fx.ctx, view, asked...)
	require.NoError(fx.t, err)
	require.Len(fx.t, got, len(keys))
	out := make([]string, len(got))
	for i, v := range got {
		out[i] = string(v)
		if v == nil {
			out[i] = "none"
		}
	}
	return out
}

func checkViewRows(t T, f Factory) {
	fx := begin(t, f)
	require.Equal(t, []string{"none"}, fx.get("v", "a"))
	require.Empty(t, fx.get("v"))
	commit := func(rows ...eventstore.Row) {
		require.NoError(t, fx.store.Commit(fx.ctx, "v", 0, 0, rows))
	}
	commit(row("v", "a", "1"), row("v", "b", "2"), row("v", "", "the empty key"), row("v", "empty", ""))
	require.Equal(t, []string{"2", "none", "1", "2", "the empty key", ""}, fx.get("v", "b", "c", "a", "b", "", "empty"))
	commit(row("v", "a", "3"), eventstore.Row{View: "v", Key: []byte("b")}, eventstore.Row{View: "v", Key: []byte("never")})
	require.Equal(t, []string{"3", "none"}, fx.get("v", "a", "b"))
	require.Equal(t, []string{"none"}, fx.get("w", "a"), "views are apart")
	binary := string([]byte{0, 0xFF, '\'', 0})
	commit(row("v", binary, binary))
	require.Equal(t, []string{binary}, fx.get("v", binary))
	// One checkpoint may carry rows of several views.
	commit(row("v", "a", "6"), row("w", "a", "another view's"))
	require.Equal(t, []string{"6"}, fx.get("v", "a"))
	require.Equal(t, []string{"another view's"}, fx.get("w", "a"))
	// Of one key twice in a commit the last stands.
	commit(row("v", "a", "4"), eventstore.Row{View: "v", Key: []byte("a")}, row("v", "a", "5"))
	require.Equal(t, []string{"5"}, fx.get("v", "a"))
}

func checkViewScan(t T, f Factory) {
	fx := begin(t, f)
	keys := []string{"", "\x00", "a", "a\x00", "aa", "ab", "b", "\xfe", "\xff\xff"}
	var rows []eventstore.Row
	for i, k := range keys {
		rows = append(rows, row("v", k, fmt.Sprint(i)))
	}
	slices.Reverse(rows)
	require.NoError(t, fx.store.Commit(fx.ctx, "v", 0, 0, rows))
	require.NoError(t, fx.store.Commit(fx.ctx, "w", 0, 0, []eventstore.Row{row("w", "a", "another view's")}))
	for _, c := range []struct {
		from, to string // "none": no upper bound
		limit    int
		want     []string
	}{
		{"", "none", 0, keys},
		{"a", "none", 0, keys[2:]},
		{"a", "b", 0, keys[2:6]},
		{"a", "a\x00", 0, keys[2:3]},
		{"a", "a", 0, nil},
		{"b", "a", 0, nil},
		{"ac", "none", 2, keys[6:8]},
		{"", "b", 4, keys[:4]},
		{"", "\xff\xff", 100, keys[:8]},
		{"\xff\xff\xff", "none", 0, nil},
	} {
		var to []byte
		if c.to != "none" {
			to = []byte(c.to)
		}
		got, err := fx.store.Scan(fx.ctx, "v", []byte(c.from), to, c.limit, false)
		require.NoError(t, err)
		require.Equal(t, c.want, keysOf(got), "from %q to %q, at most %d", c.from, c.to, c.limit)
		for _, r := range got {
			require.Equal(t, "v", r.View)
			require.Equal(t, fmt.Sprint(slices.Index(keys, string(r.Key))), string(r.Value))
		}
		if c.limit > 0 {
			continue
		}
		want := slices.Clone(c.want)
		slices.Reverse(want)
		got, err = fx.store.Scan(fx.ctx, "v", []byte(c.from), to, 0, true)
		require.NoError(t, err)
		require.Equal(t, want, keysOf(got), "reverse from %q to %q", c.from, c.to)
	}
	got, err := fx.store.Scan(fx.ctx, "v", nil, nil, 2, true)
	require.NoError(t, err)
	require.Equal(t, []string{"\xff\xff", "\xfe"}, keysOf(got), "a limit counts from the end in reverse")
}

func keysOf(rows []eventstore.Row) []string {
	var out []string
	for _, r := range rows {
		out = append(out, string(r.Key))
	}
	return out
}

func checkViewCheckpoint(t T, f Factory) {
	fx := begin(t, f)
	at := func(want int64) {
		t.Helper()
		got, err := fx.store.Checkpoint(fx.ctx, "v")
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	at(0)
	require.NoError(t, fx.store.Commit(fx.ctx, "v", 0, 5, []eventstore.Row{row("v", "a", "at 5")}))
	at(5)
	for _, from := range []int64{0, 4, 6} {
		err := fx.store.Commit(fx.ctx, "v", from, 9, []eventstore.Row{row("v", "a", "lost"), row("v", "b", "lost")})
		var c *eventstore.Conflict
		require.ErrorAs(t, err, &c)
		require.Equal(t, eventstore.ConflictView, c.Kind)
		require.Equal(t, []string{"at 5", "none"}, fx.get("v", "a", "b"))
		at(5)
	}
	require.NoError(t, fx.store.Commit(fx.ctx, "v", 5, 5, []eventstore.Row{row("v", "b", "without moving")}))
	at(5)
	require.Equal(t, []string{"without moving"}, fx.get("v", "b"))
	require.NoError(t, fx.store.Commit(fx.ctx, "v", 5, 6, nil))
	at(6)

	// Many fold the same view at once: each step is taken by one.
	stores := fx.handles(f, 3)
	var taken atomic.Int64
	group, ctx := errgroup.WithContext(fx.ctx)
	for w := range writers {
		group.Go(func() error {
			for at := int64(0); at < severalTimes; at++ {
				rows := []eventstore.Row{row("raced", fmt.Sprintf("%03d", at), fmt.Sprint(w))}
				err := stores[w%len(stores)].Commit(ctx, "raced", at, at+1, rows)
				switch {
				case err == nil:
					taken.Add(1)
				case !errors.Is(err, eventstore.ErrConflict):
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
	require.Equal(t, int64(severalTimes), taken.Load())
}

func checkViewDrop(t T, f Factory) {
	fx := begin(t, f)
	for _, v := range []string{"v", "w"} {
		require.NoError(t, fx.store.Commit(fx.ctx, v, 0, 3, []eventstore.Row{row(v, "a", "1"), row(v, "b", "2")}))
	}
	require.NoError(t, fx.store.Drop(fx.ctx, "v"))
	require.NoError(t, fx.store.Drop(fx.ctx, "never"))
	require.Equal(t, []string{"none", "none"}, fx.get("v", "a", "b"))
	checkpoint, err := fx.store.Checkpoint(fx.ctx, "v")
	require.NoError(t, err)
	require.Equal(t, int64(0), checkpoint)
	require.Equal(t, []string{"1", "2"}, fx.get("w", "a", "b"))
	require.NoError(t, fx.store.Commit(fx.ctx, "v", 0, 1, []eventstore.Row{row("v", "a", "built anew")}))
	require.Equal(t, []string{"built anew"}, fx.get("v", "a"))
}

func checkLeases(t T, f Factory) {
	fx := begin(t, f)
	stores := fx.handles(f, 2)
	acquire := func(i int, name, owner string, ttl time.Duration, want bool) {
		t.Helper()
		ok, err := stores[i].Acquire(fx.ctx, name, owner, ttl)
		require.NoError(t, err)
		require.Equal(t, want, ok, "%s wants %s", owner, name)
	}
	acquire(0, "lane", "one", time.Hour, true)
	acquire(1, "lane", "two", time.Hour, false)
	acquire(0, "lane", "one", time.Hour, true) // renewed
	acquire(1, "another lane", "two", time.Hour, true)
	require.NoError(t, stores[1].Release(fx.ctx, "lane", "two"), "who doesn't hold it gives nothing back")
	acquire(1, "lane", "two", time.Hour, false)
	require.NoError(t, stores[0].Release(fx.ctx, "lane", "one"))
	acquire(1, "lane", "two", time.Hour, true)
	acquire(0, "lane", "one", time.Hour, false)
	require.NoError(t, stores[0].Release(fx.ctx, "never", "one"))

	// A lease ends by itself. The clock that counts is the store's, so the test asks until it is given.
	acquire(0, "short", "one", 50*time.Millisecond, true)
	deadline := time.Now().Add(f.patience())
	for ok := false; !ok; {
		require.True(t, time.Now().Before(deadline), "a lease never ends")
		var err error
		ok, err = stores[1].Acquire(fx.ctx, "short", "two", time.Hour)
		require.NoError(t, err)
		time.Sleep(5 * time.Millisecond) //nolint:forbidigo // the passing of time is what is tested
	}
	acquire(0, "short", "one", time.Hour, false)

	// Of many who ask at once one gets it.
	var got atomic.Int64
	group, ctx := errgroup.WithContext(fx.ctx)
	for w := range writers {
		group.Go(func() error {
			ok, err := stores[w%len(stores)].Acquire(ctx, "raced", fmt.Sprint(w), time.Hour)
			if ok {
				got.Add(1)
			}
			return err
		})
	}
	require.NoError(t, group.Wait())
	require.Equal(t, int64(1), got.Load())
}
