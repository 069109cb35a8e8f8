package auth_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/adapters/auth"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/eventstore"
)

// memory is the rows of views, for tests that move the clock.
type memory struct {
	mu      sync.Mutex
	rows    map[string][]byte
	commits int
	fails   error
	hold    func() // called before a row is written
}

func (m *memory) Get(_ context.Context, _ string, keys ...[]byte) ([][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([][]byte, len(keys))
	for i, key := range keys {
		out[i] = m.rows[string(key)]
	}
	return out, m.fails
}

func (m *memory) Scan(_ context.Context, view string, from, _ []byte, limit int, _ bool) (out []eventstore.Row, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(m.rows)) {
		if key >= string(from) && len(out) < limit {
			out = append(out, eventstore.Row{View: view, Key: []byte(key), Value: m.rows[key]})
		}
	}
	return out, m.fails
}

func (m *memory) Commit(_ context.Context, _ string, _, _ int64, rows []eventstore.Row) error {
	if hold := m.hold; hold != nil {
		m.hold = nil
		hold()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.commits++
	for _, r := range rows {
		if m.rows[string(r.Key)] = r.Value; r.Value == nil {
			delete(m.rows, string(r.Key))
		}
	}
	return m.fails
}

func newSessions(t testing.TB, views auth.Views, key byte) *auth.Sessions {
	s, err := auth.NewSessions(auth.SessionsConfig{Views: views, Key: [32]byte{key}, Idle: 20 * time.Minute, Lifetime: time.Hour})
	require.NoError(t, err)
	return s
}

func zoe() journal.Actor {
	id := uuid.New()
	return journal.Actor{Kind: journal.ActorResident, Role: journal.RoleCitizen, ID: id.String(), Citizen: id, Source: "import", ACR: 1}
}

// TestASessionIsWhoStartedIt, on the real store, on every replica, until it is ended on any of them.
func TestASessionIsWhoStartedIt(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	replicas := journaltest.Replicas(t, journaltest.Options{}, 2)
	one, two := newSessions(t, replicas[0].Store(), 1), newSessions(t, replicas[1].Store(), 1)
	seen := map[string]bool{}
	for _, actor := range []journal.Actor{
		zoe(),
		{Kind: journal.ActorMinistry, Role: journal.RoleMinistry, ID: "moh", Ministry: "moh", Source: "import", ACR: 2},
		{Kind: journal.ActorOfficer, Role: journal.RoleOfficer, ID: canary, Source: "import", ACR: 2},
	} {
		token, err := one.Start(ctx, actor, canary)
		require.NoError(t, err)
		require.False(t, seen[token])
		require.GreaterOrEqual(t, len(token), 43, "256 bits")
		seen[token] = true
		for _, s := range []*auth.Sessions{one, two} {
			got, name, ok, err := s.Use(ctx, token)
			require.NoError(t, err)
			require.True(t, ok)
			require.True(t, got == actor)
			require.Equal(t, canary, name)
		}
		stands, err := two.Stands(ctx, token)
		require.NoError(t, err)
		require.True(t, stands)
		require.NoError(t, two.End(ctx, token))
		require.NoError(t, two.End(ctx, token), "again")
		for _, s := range []*auth.Sessions{one, two} {
			_, _, ok, err := s.Use(ctx, token)
			require.NoError(t, err)
			require.False(t, ok)
		}
	}
	for _, token := range []string{"", "x", string(make([]byte, 5000))} {
		_, _, ok, err := one.Use(ctx, token)
		require.NoError(t, err)
		require.False(t, ok)
		require.NoError(t, one.End(ctx, token))
	}
	for _, actor := range []journal.Actor{{}, {Role: "king", ACR: 1}, {Role: journal.RoleOfficer}, {Role: journal.RoleOfficer, ACR: 3}} {
		_, err := one.Start(ctx, actor, "")
		require.Error(t, err, "nobody logged in as this")
	}
}

// TestASessionEnds when nobody asks for a page, and after its lifetime whatever happens. Pages cost few writes.
func TestASessionEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, m := context.Background(), &memory{rows: map[string][]byte{}}
		s := newSessions(t, m, 1)
		begin := func() string {
			token, err := s.Start(ctx, zoe(), "Zoë")
			require.NoError(t, err)
			return token
		}
		use := func(token string) bool {
			_, _, ok, err := s.Use(ctx, token)
			require.NoError(t, err)
			return ok
		}
		idle := begin()
		time.Sleep(19 * time.Minute)
		stands, err := s.Stands(ctx, idle)
		require.NoError(t, err)
		require.True(t, stands)
		time.Sleep(time.Minute)
		require.False(t, use(idle), "a page that is left open puts nothing off")

		busy := begin()
		for range 3 {
			time.Sleep(19 * time.Minute)
			require.True(t, use(busy))
		}
		before := m.commits
		for range 100 {
			require.True(t, use(busy))
		}
		require.Equal(t, before, m.commits)
		time.Sleep(3 * time.Minute)
		require.False(t, use(busy), "an hour is over")

		for range 250 { // what has expired is taken away, and what lives is not
			begin()
		}
		live := begin()
		time.Sleep(15 * time.Minute)
		require.True(t, use(live))
		time.Sleep(10 * time.Minute)
		for range 4 {
			begin()
		}
		require.True(t, use(live))
		require.Len(t, m.rows, 5)
	})
}

// TestASignOutHolds, also against a page under way that puts the session off at the same moment.
func TestASignOutHolds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, m := context.Background(), &memory{rows: map[string][]byte{}}
		s := newSessions(t, m, 1)
		token, err := s.Start(ctx, zoe(), "")
		require.NoError(t, err)
		time.Sleep(10 * time.Minute)
		m.hold = func() { require.NoError(t, s.End(ctx, token)) }
		_, _, ok, err := s.Use(ctx, token)
		require.NoError(t, err)
		require.True(t, ok, "it was read before the sign-out")
		_, _, ok, err = s.Use(ctx, token)
		require.NoError(t, err)
		require.False(t, ok)
	})
}

// TestTheStoreGivesNoSessionAway: who reads it finds no token and nothing of the person; who writes to it can make, move or lengthen none.
func TestTheStoreGivesNoSessionAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, m := context.Background(), &memory{rows: map[string][]byte{}}
		s := newSessions(t, m, 1)
		actor := zoe()
		token, err := s.Start(ctx, actor, canary)
		require.NoError(t, err)
		mine, err := s.Start(ctx, zoe(), "")
		require.NoError(t, err)
		for key, value := range m.rows {
			for _, secret := range []string{token, canary, actor.ID, string(actor.Citizen[:]), "citizen"} {
				require.NotContains(t, key, secret)
				require.NotContains(t, string(value), secret)
			}
			_, _, ok, err := s.Use(ctx, key[1:])
			require.NoError(t, err)
			require.False(t, ok, "the hash is no token")
		}
		other := newSessions(t, &memory{rows: maps.Clone(m.rows)}, 2)
		_, _, ok, err := other.Use(ctx, token)
		require.NoError(t, err)
		require.False(t, ok, "another hub's key opens nothing")

		keys := slices.Sorted(maps.Keys(m.rows))
		good := maps.Clone(m.rows)
		m.rows[keys[0]], m.rows[keys[1]] = m.rows[keys[1]], m.rows[keys[0]]
		for _, token := range []string{token, mine} {
			_, _, ok, err = s.Use(ctx, token)
			require.NoError(t, err)
			require.False(t, ok, "a row in another's place")
		}
		m.rows = maps.Clone(good)
		for key, value := range good {
			later := bytes.Clone(value)
			later[2]++ // its end, far ahead
			m.rows[key] = later
		}
		_, _, ok, err = s.Use(ctx, token)
		require.NoError(t, err)
		require.False(t, ok, "a row that was lengthened")
	})
}

// TestAStoreThatFails says so: nobody is signed out by it, and nobody in.
func TestAStoreThatFails(t *testing.T) {
	t.Parallel()
	ctx, m := context.Background(), &memory{rows: map[string][]byte{}}
	s := newSessions(t, m, 1)
	token, err := s.Start(ctx, zoe(), "")
	require.NoError(t, err)
	m.fails = errors.New("away")
	_, _, _, err = s.Use(ctx, token)
	require.ErrorIs(t, err, m.fails)
	require.ErrorIs(t, s.End(ctx, token), m.fails)
	_, err = s.Start(ctx, zoe(), "")
	require.ErrorIs(t, err, m.fails)
}
