package command_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
)

// TestWhoMay holds the table of actor kinds and use cases.
func TestWhoMay(t *testing.T) {
	t.Parallel()
	ctx, b := context.Background(), setup(t)
	b.load(t)
	id, other := b.resident(t), b.resident(t)
	forbidden := func(err error) bool {
		if err == nil {
			return false
		}
		var rejection *citizen.Rejection // judged, so the caller might
		if !errors.As(err, &rejection) {
			require.ErrorIs(t, err, command.ErrForbidden)
			return true
		}
		return false
	}
	cases := map[string]func(journal.Actor) error{
		"tell": func(a journal.Actor) error {
			_, err := b.command.Tell(ctx, by(a), id, address(t, b.journal, "1 First St"))
			return err
		},
		"preview": func(a journal.Actor) error {
			_, err := b.command.Preview(ctx, a, id, address(t, b.journal, "1 First St"))
			return err
		},
		"register": func(a journal.Actor) error {
			_, err := b.command.Tell(ctx, by(a), id, person(t, b.journal))
			return err
		},
		"preview death": func(a journal.Actor) error { _, err := b.command.Preview(ctx, a, id, death(t, b.journal)); return err },
		"grant": func(a journal.Actor) error {
			_, err := b.command.Grant(ctx, by(a), id, command.Choice{Agreement: "outdoors-card"})
			return err
		},
		"withdraw": func(a journal.Actor) error { _, err := b.command.Withdraw(ctx, by(a), id, "outdoors-card"); return err },
		"link": func(a journal.Actor) error {
			_, err := b.command.Link(ctx, by(a), id, command.Linking{Ministry: "moh"})
			return err
		},
		"unlink": func(a journal.Actor) error { _, err := b.command.Unlink(ctx, by(a), id, "moh"); return err },
		"load": func(a journal.Actor) error {
			_, err := b.command.LoadAgreements(ctx, command.Command{Actor: a}, nil)
			return err
		},
	}
	everyday := []string{"tell", "preview", "grant", "withdraw", "link", "unlink"}
	may := func(lists ...[]string) map[string]bool {
		out := map[string]bool{}
		for _, list := range lists {
			for _, name := range list {
				out[name] = true
			}
		}
		return out
	}
	actors := map[string]struct {
		actor journal.Actor
		may   map[string]bool
	}{
		"hub":            {journal.Actor{}, nil},
		"self":           {journal.Actor{Kind: journal.ActorResident, Citizen: uuid.UUID(id)}, may(everyday)},
		"someone else":   {journal.Actor{Kind: journal.ActorResident, Citizen: uuid.UUID(other)}, nil},
		"nobody":         {journal.Actor{Kind: journal.ActorResident}, nil},
		"clerk":          {journal.Actor{Kind: journal.ActorClerk}, may(everyday, []string{"register"})},
		"ministry":       {journal.Actor{Kind: journal.ActorMinistry, Ministry: "moh"}, nil},
		"officer":        {journal.Actor{Kind: journal.ActorOfficer}, may([]string{"load"})},
		"protector":      {journal.Actor{Kind: journal.ActorProtector}, nil},
		"auditor":        {journal.Actor{Kind: journal.ActorAuditor}, nil},
		"registrar":      {journal.Actor{Kind: journal.ActorRegistrar}, may(everyday, []string{"register", "preview death"})},
		"operator":       {journal.Actor{Kind: journal.ActorOperator}, may([]string{"load"})},
		"source":         {source, may(everyday, []string{"register", "preview death"})},
		"a citizen's id": {journal.Actor{Kind: journal.ActorOfficer, Citizen: uuid.UUID(id)}, may([]string{"load"})},
	}
	for who, a := range actors {
		for what, ask := range cases {
			require.Equal(t, !a.may[what], forbidden(ask(a.actor)), "%s: %s", who, what)
		}
	}
}

// TestAfterDeath: grants end, links stay, and nothing is told any more.
func TestAfterDeath(t *testing.T) {
	t.Parallel()
	ctx, b := context.Background(), setup(t)
	b.load(t)
	id := b.resident(t)
	_, err := b.command.Link(ctx, by(source), id, command.Linking{Ministry: "moh", ClientReference: "r"})
	require.NoError(t, err)
	_, err = b.command.Grant(ctx, by(source), id, command.Choice{Agreement: "outdoors-card"})
	require.NoError(t, err)
	result, err := b.command.Tell(ctx, by(journal.Actor{Kind: journal.ActorRegistrar}), id, death(t, b.journal))
	require.NoError(t, err)
	require.Equal(t, []string{"elections-register", "moh-health-card"}, shared(result.Decisions), "statutory streams hear of it")
	states, err := b.journal.FreshStates(ctx, id)
	require.NoError(t, err)
	require.Len(t, states[0].Standing.Links, 1)
	require.Empty(t, states[0].Standing.Grants)
	b.refused(t, "person-deceased", "-", func() error {
		_, err := b.command.Tell(ctx, by(source), id, address(t, b.journal, "1 First St"))
		return err
	})
	b.refused(t, "person-deceased", "-", func() error { _, err := b.command.Tell(ctx, by(source), id, death(t, b.journal)); return err })
}

// TestReplicasLoseNothing: two processes race on one citizen, each with its own memory. Every accepted command is on the log once, and
// what the log says is what each of them then answers.
func TestReplicasLoseNothing(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	replicas := journaltest.Replicas(t, journaltest.Options{}, 2)
	b := &bundle{journal: replicas[0], command: command.New(replicas[0])}
	b.load(t)
	id := b.resident(t)
	handlers := []*command.Handler{b.command, command.New(replicas[1])}
	changes := make([]command.Change, 25)
	for i := range changes {
		changes[i] = address(t, b.journal, fmt.Sprintf("%d Race St", i))
	}
	const callers = 4
	var group sync.WaitGroup
	errs, accepted := make([]error, callers), make([][]command.Result, callers)
	for i := range callers {
		group.Go(func() {
			h := handlers[i%2]
			for _, change := range changes {
				for _, ask := range []func(command.Command) (command.Result, error){
					func(c command.Command) (command.Result, error) {
						return h.Grant(ctx, c, id, command.Choice{Agreement: "outdoors-card"})
					},
					func(c command.Command) (command.Result, error) { return h.Tell(ctx, c, id, change) },
					func(c command.Command) (command.Result, error) { return h.Withdraw(ctx, c, id, "outdoors-card") },
				} {
					c := by(source)
					result, err := ask(c)
					for errors.Is(err, command.ErrBusy) { // the others were always faster: the same command again
						result, err = ask(c)
					}
					var rejection *citizen.Rejection
					switch {
					case err == nil:
						accepted[i] = append(accepted[i], result)
					case errors.As(err, &rejection) && rejection.Code == citizen.CodeNoSuchGrant: // another caller withdrew it
					default:
						errs[i] = err
						return
					}
				}
			}
		})
	}
	group.Wait()
	at := map[int64]bool{}
	for i := range callers {
		require.NoError(t, errs[i])
		for _, r := range accepted[i] {
			require.False(t, at[r.Position], "two commands at one position")
			at[r.Position] = true
		}
	}
	b.checkRace(t, id, at)
}

// checkRace folds the log: each decided says what held just before it, no withdrawal without a grant, nothing but what was answered.
func (b *bundle) checkRace(t *testing.T, id citizen.ID, at map[int64]bool) {
	t.Helper()
	granted, grant, found := false, int64(0), 0
	for i, e := range b.history(t, id) {
		require.Equal(t, int32(i+1), e.Version)
		if at[e.Position] {
			found++
		}
		switch event := e.Event.(type) {
		case journal.ConsentGranted:
			granted, grant = true, e.Position
		case journal.ConsentWithdrawn:
			require.True(t, granted, "a withdrawal of nothing at %d", e.Position)
			require.Equal(t, grant, event.Grant, "a withdrawal names the grant that holds")
			granted = false
		case journal.Decided:
			for _, d := range event.Decisions {
				if d.Agreement == "outdoors-card" {
					require.Equal(t, granted, d.Reason == consent.None, "decided at %d", e.Position)
				}
			}
			require.Equal(t, e.Position-1, e.Cause)
		}
	}
	require.Equal(t, len(at), found)
}

// TestARefusalIsTheLogs: what this process remembers is stale, and would refuse what the log allows.
func TestARefusalIsTheLogs(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	replicas := journaltest.Replicas(t, journaltest.Options{}, 2)
	here := &bundle{journal: replicas[0], command: command.New(replicas[0])}
	there := command.New(replicas[1])
	ids, err := here.journal.Register(ctx, "test", "someone")
	require.NoError(t, err)
	id := ids[0]
	here.refused(t, "unknown-person", "/person", func() error {
		_, err := here.command.Link(ctx, by(source), id, command.Linking{Ministry: "moh"})
		return err
	})
	_, err = there.Tell(ctx, by(source), id, person(t, here.journal))
	require.NoError(t, err)
	here.refused(t, "unknown-ministry", "/data/ministry", func() error {
		_, err := here.command.Link(ctx, by(source), id, command.Linking{Ministry: "moh"})
		return err
	})
	_, err = there.LoadAgreements(ctx, command.Command{Actor: operator}, []consent.Agreement{parseAgreement(t, here.journal, "moh-health-card"), parseAgreement(t, here.journal, "outdoors-card")})
	require.NoError(t, err)
	_, err = here.command.Link(ctx, by(source), id, command.Linking{Ministry: "moh", ClientReference: "r"})
	require.NoError(t, err)
	_, err = there.Grant(ctx, by(source), id, command.Choice{Agreement: "outdoors-card"})
	require.NoError(t, err)
	result, err := here.command.Tell(ctx, by(source), id, address(t, here.journal, "1 First St"))
	require.NoError(t, err)
	require.Equal(t, []string{"moh-health-card", "outdoors-card"}, shared(result.Decisions), "a grant that another process appended counts at once")
	_, err = there.Withdraw(ctx, by(source), id, "outdoors-card")
	require.NoError(t, err)
	result, err = here.command.Tell(ctx, by(source), id, address(t, here.journal, "2 Second St"))
	require.NoError(t, err)
	require.Equal(t, []string{"moh-health-card"}, shared(result.Decisions), "and so does a withdrawal")
}
