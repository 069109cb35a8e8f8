package command_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
)

// TestCircularProxies: directly, through others, and only as long as the others hold.
func TestCircularProxies(t *testing.T) {
	t.Parallel()
	onBothStores(t, journaltest.Options{}, func(t *testing.T, b *bundle) {
		ctx := context.Background()
		ids := make([]citizen.ID, 4)
		for i := range ids {
			ids[i] = b.resident(t)
		}
		attorney := func(of, proxy int) command.Proxying {
			_ = of
			return command.Proxying{Proxy: ids[proxy], Kind: journal.ProxyAttorney}
		}
		grant := func(of, proxy int) func() error {
			return func() error {
				_, err := b.command.GrantProxy(ctx, by(self(ids[of])), ids[of], attorney(of, proxy))
				return err
			}
		}
		require.NoError(t, grant(0, 1)())
		b.refused(t, "circular-proxy", "/data/proxy", grant(1, 0))
		require.NoError(t, grant(1, 2)())
		require.NoError(t, grant(2, 3)())
		b.refused(t, "circular-proxy", "/data/proxy", grant(2, 0))
		b.refused(t, "circular-proxy", "/data/proxy", grant(3, 0))
		b.refused(t, "circular-proxy", "/data/proxy", grant(3, 1))
		require.NoError(t, grant(0, 3)(), "a shorter way the same way round leads nowhere back")
		b.append(t, ids[1], journal.ProxyGranted{Kind: journal.ProxyAttorney, Proxy: ids[2].String(), Until: b.daysFrom(0, -1)})
		b.append(t, ids[0], journal.ProxyEnded{Proxy: ids[3].String()})
		require.NoError(t, grant(3, 1)(), "what has run out is no way any more")
		b.refused(t, "circular-proxy", "/data/proxy", grant(1, 2))
	})
}

// TestCrossingProxies: two people name each other at the same moment, in two processes. One of them is refused.
func TestCrossingProxies(t *testing.T) {
	t.Parallel()
	inTwoPlaces(t, crossProxies)
}

// inTwoPlaces runs a race in two processes on the embedded store, each with its own memory, and in one on each store.
func inTwoPlaces(t *testing.T, race func(*testing.T, *bundle, *command.Handler)) {
	t.Helper()
	t.Run("two processes", func(t *testing.T) {
		t.Parallel()
		replicas := journaltest.Replicas(t, journaltest.Options{}, 2)
		race(t, &bundle{journal: replicas[0], command: command.New(replicas[0])}, command.New(replicas[1]))
	})
	onBothStores(t, journaltest.Options{}, func(t *testing.T, b *bundle) { race(t, b, command.New(b.journal)) })
}

func crossProxies(t *testing.T, b *bundle, elsewhere *command.Handler) {
	ctx, handlers := context.Background(), []*command.Handler{b.command, elsewhere}
	for round := range 20 {
		ids := []citizen.ID{b.resident(t), b.resident(t), b.resident(t)}
		errs := make([]error, len(ids))
		var group sync.WaitGroup
		for i := range ids { // 0 → 1 → 2 → 0
			group.Go(func() {
				c := by(self(ids[i]))
				_, errs[i] = handlers[i%2].GrantProxy(ctx, c, ids[i], command.Proxying{Proxy: ids[(i+1)%3], Kind: journal.ProxyAttorney})
			})
		}
		group.Wait()
		refused := 0
		for _, err := range errs {
			var rejection *citizen.Rejection
			if errors.As(err, &rejection) {
				require.Equal(t, citizen.CodeCircularProxy, rejection.Code)
				refused++
				continue
			}
			require.NoError(t, err)
		}
		require.Equal(t, 1, refused, "round %d", round)
	}
}

// TestAProxyThatEndedDoesNotAct: an attorney acts while the citizen ends the proxy from another process. Whatever lies behind the end on
// the log is not the attorney's.
func TestAProxyThatEndedDoesNotAct(t *testing.T) {
	t.Parallel()
	inTwoPlaces(t, endWhileActing)
}

func endWhileActing(t *testing.T, b *bundle, elsewhere *command.Handler) {
	ctx := context.Background()
	b.load(t)
	id, attorney := b.resident(t), b.resident(t)
	before, after := 0, 0
	for round := range 30 {
		b.proxied(t, self(id), id, command.Proxying{Proxy: attorney, Kind: journal.ProxyAttorney})
		change := address(t, b.journal, fmt.Sprintf("%d Race St", round))
		_, err := elsewhere.Tell(ctx, by(self(attorney)), id, change) // it remembers the proxy
		require.NoError(t, err)
		var group sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs {
			group.Go(func() { _, errs[i] = elsewhere.Tell(ctx, by(self(attorney)), id, change) })
		}
		_, err = b.command.EndProxy(ctx, by(self(id)), id, attorney)
		require.NoError(t, err)
		group.Wait()
		for _, err := range errs {
			if err == nil {
				before++
				continue
			}
			require.ErrorIs(t, err, command.ErrForbidden)
			after++
		}
	}
	holds := false
	for _, e := range b.history(t, id) {
		switch e.Event.(type) {
		case journal.ProxyGranted:
			holds = true
		case journal.ProxyEnded:
			holds = false
		case citizen.Change:
			require.True(t, e.Meta.Actor != attorney.String() || holds, "the attorney told at %d without a proxy", e.Position)
		}
	}
	require.Positive(t, after, "no attempt came too late (%d were in time): the race was none", before)
}

// TestAChildBornWhileItsParentIsProtected: whoever comes first, the child is protected, and the parent acts for it.
func TestAChildBornWhileItsParentIsProtected(t *testing.T) {
	t.Parallel()
	inTwoPlaces(t, bornWhileProtected)
}

func bornWhileProtected(t *testing.T, b *bundle, elsewhere *command.Handler) {
	ctx, protectedFirst := context.Background(), 0
	for range 15 {
		parent, child := b.resident(t), b.bornOn(t, b.daysFrom(-3, 0))
		birth := b.birth(t, b.daysFrom(0, -3))
		errs := make([]error, 3)
		var group sync.WaitGroup
		group.Go(func() {
			_, errs[0] = b.command.Restrict(ctx, by(protector), parent, command.Restricting{Kind: journal.RestrictionViolence, Reason: "test"})
		})
		group.Go(func() { _, errs[1] = elsewhere.Tell(ctx, by(self(parent)), parent, birth) })
		group.Go(func() {
			_, errs[2] = elsewhere.GrantProxy(ctx, by(protector), child, command.Proxying{Proxy: parent, Kind: journal.ProxyGuardian})
		})
		group.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
		children := b.childrenOf(t, parent)
		require.Len(t, children, 2)
		for _, id := range children {
			state := b.state(t, id)
			require.Len(t, state.Standing.Restrictions, 1)
			require.Equal(t, parent.String(), state.Standing.Restrictions[0].Through)
			require.True(t, heldBy(state, parent).Kept)
			if b.history(t, id)[1].Type == journal.TypeRestrictionSet && b.history(t, id)[0].Type == journal.TypeProxyGranted {
				protectedFirst++
			}
		}
	}
	t.Logf("protected before the birth: %d of 15", protectedFirst)
}

func heldBy(state *journal.State, proxy citizen.ID) journal.Proxy {
	for _, p := range state.Proxies {
		if p.ID == proxy {
			return p
		}
	}
	return journal.Proxy{}
}
