package lawtest

import (
	"context"
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/audit"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/seal"
	"github.com/tellonce/hub/eventstore/sqlite"
)

var (
	rounds = flag.Int("law.rounds", 10_000, "random interleavings on the embedded store")
	onPG   = flag.Int("law.postgres", 1000, "random interleavings on PostgreSQL")
	seed   = flag.Uint64("law.seed", uint64(time.Now().UnixNano()), "seed of the interleavings")
)

// life is how many rounds a citizen takes part in before new ones come: a short history, in which things meet.
const life = 8

func register(t *testing.T, w *world, ctx context.Context) citizen.ID {
	h := w.hubs[0]
	ids, err := h.journal.Register(ctx, "law", uuid.NewString())
	require.NoError(t, err)
	kind := journal.ActorRegistrar
	if w.random.IntN(2) == 0 {
		kind = journal.ActorClerk
	}
	_, err = h.command.Tell(ctx, w.by(kind, "r"), ids[0], w.change("person-registered", "2026-03-01", map[string]any{
		"given_names": "Invented", "family_name": "Person", "birth_date": []string{"1980-05-17", "2012-01-01"}[w.random.IntN(2)], "language": "en",
	}))
	require.NoError(t, err)
	return ids[0]
}

func (w *world) change(eventType, effective string, data map[string]any) command.Change {
	normalised, canonical, problems := w.registry.Validate(eventType, data)
	require.Empty(w.t, problems)
	return command.Change{Type: eventType, Effective: effective, Data: normalised, Canonical: canonical}
}

func (w *world) address() map[string]any {
	province := []string{"ON", "QC"}[w.random.IntN(2)]
	return map[string]any{
		"kind": "home", "street": fmt.Sprintf("%d Invented St", w.random.IntN(10_000)), "city": "Somewhere", "province": province,
		"postal_code": map[string]string{"ON": "K1A 0B1", "QC": "H2X 1Y4"}[province], "country": "CA",
	}
}

// operation draws one thing that somebody does to or about a citizen, by one of the hubs. What it depends on by chance is drawn here,
// before the tasks run, so that a seed makes the same round again.
func (w *world) operation(id citizen.ID, facts []int64, death int64) func(context.Context) {
	h := w.hubs[w.random.IntN(2)]
	resident := w.resident(id)
	effective := []string{"2026-02-01", "2026-03-01", "2026-03-01", "2026-03-04"}[w.random.IntN(4)]
	do := w.do
	tell := func(c command.Command, change command.Change) func(context.Context) {
		return do(change.Type, func(ctx context.Context) error { _, err := h.command.Tell(ctx, c, id, change); return err })
	}
	target := int64(1)
	if len(facts) > 0 {
		target = facts[w.random.IntN(len(facts))]
	}
	switch draw := w.random.IntN(50); {
	case draw < 7:
		change := w.change("address-changed", effective, w.address())
		if w.random.IntN(3) == 0 {
			change.Consents = []command.Choice{{Agreement: "library", Language: "en"}}
		}
		return tell(resident, change)
	case draw < 9:
		return tell(resident, w.change("language-changed", effective, map[string]any{"language": "fr"}))
	case draw < 13:
		return tell(resident, w.change("change-corrected", effective, map[string]any{"corrects": target, "type": "address-changed", "data": w.address()}))
	case draw < 15:
		return tell(resident, w.change("change-cancelled", effective, map[string]any{"corrects": target}))
	case draw < 16:
		return tell(w.by(journal.ActorRegistrar, "r"), w.change("change-verified", effective, map[string]any{"verifies": target}))
	case draw < 20:
		choice := command.Choice{Agreement: "library", Language: "fr"}
		if w.random.IntN(2) == 0 {
			choice.Fields = []string{"city"}
		}
		return do("grant", func(ctx context.Context) error { _, err := h.command.Grant(ctx, resident, id, choice); return err })
	case draw < 24:
		return w.withdraw(h, id)
	case draw < 26:
		linking := command.Linking{Ministry: "finance", ClientReference: fmt.Sprint("C-", w.random.IntN(1000)), Means: "sign-in"}
		return do("link", func(ctx context.Context) error { _, err := h.command.Link(ctx, resident, id, linking); return err })
	case draw < 27:
		return do("unlink", func(ctx context.Context) error { _, err := h.command.Unlink(ctx, resident, id, "finance"); return err })
	case draw < 29:
		return w.restrict(h, id)
	case draw < 30:
		return do("lift", func(ctx context.Context) error {
			_, err := h.command.Lift(ctx, w.by(journal.ActorProtector, "p"), id, "invented")
			return err
		})
	case draw < 31:
		return tell(w.by(journal.ActorRegistrar, "r"), w.change("death-registered", "2026-03-01", map[string]any{"death_date": "2026-02-28", "reported_by": "spouse"}))
	case draw < 32:
		return tell(w.by(journal.ActorRegistrar, "r"), w.change("death-corrected", "2026-03-01", map[string]any{"corrects": death}))
	case draw < 33:
		return w.erase(h, id)
	case draw < 34:
		return do("snapshots", func(ctx context.Context) error { _, err := h.snapshots.Settle(ctx, nil); return err })
	case draw < 35:
		return w.look(h)
	case draw < 43:
		return w.steering(h)
	}
	list := agreements(1)
	stream, fromFirst := list[w.random.IntN(len(list))].Stream, w.random.IntN(3) == 0
	return func(ctx context.Context) { w.pull(ctx, w.hubs[2], stream, fromFirst) }
}

// do is an operation whose outcome counts.
func (w *world) do(what string, f func(context.Context) error) func(context.Context) {
	return func(ctx context.Context) { w.done(what, f(ctx)) }
}

func (w *world) resident(id citizen.ID) command.Command {
	c := w.by(journal.ActorResident, id.String())
	c.Actor.Citizen = uuid.UUID(id)
	return c
}

func (w *world) withdraw(h *hub, id citizen.ID) func(context.Context) {
	c := w.resident(id)
	return w.do("withdraw", func(ctx context.Context) error { _, err := h.command.Withdraw(ctx, c, id, "library"); return err })
}

func (w *world) restrict(h *hub, id citizen.ID) func(context.Context) {
	c, r := w.by(journal.ActorProtector, "p"), command.Restricting{Kind: journal.RestrictionViolence, Reason: "invented"}
	return w.do("restrict", func(ctx context.Context) error { _, err := h.command.Restrict(ctx, c, id, r); return err })
}

func (w *world) erase(h *hub, id citizen.ID) func(context.Context) {
	c := w.resident(id)
	return w.do("erase", func(ctx context.Context) error { _, err := h.command.Erase(ctx, c, id); return err })
}

// look is an officer's: it counts once it is answered.
func (w *world) look(h *hub) func(context.Context) {
	return func(ctx context.Context) {
		_, err := h.audit.Open(ctx, journal.Actor{Kind: journal.ActorOfficer, Role: journal.RoleOfficer, ID: "o"}, journal.IssuerAPI, audit.Look{Kind: "decisions", Reason: "invented"})
		w.done("look", err)
		w.mu.Lock()
		defer w.mu.Unlock()
		if err == nil {
			w.looks++
		}
	}
}

// play runs interleavings and judges them.
func (w *world) play(t *testing.T, n int) []string {
	ctx := context.Background()
	var id citizen.ID
	for round := range n {
		if round%life == 0 {
			id = register(t, w, ctx)
		}
		if w.random.IntN(40) == 0 { // a day passes
			w.clock.Add((24 * time.Hour).Microseconds())
		}
		entries, err := w.hubs[0].journal.ReadAggregate(ctx, journal.CitizenAggregate(id), 1, 0)
		require.NoError(t, err)
		var facts []int64
		death := int64(1)
		for i := range entries {
			if entries[i].Type == citizen.DeathRegistered {
				death = entries[i].Position
			}
			if entries[i].Type != journal.TypeDecided {
				facts = append(facts, entries[i].Position)
			}
		}
		tasks := []func(context.Context){w.operation(id, facts, death), w.operation(id, facts, death), w.operation(id, facts, death)}
		list := agreements(1)
		stream := list[w.random.IntN(len(list))].Stream
		tasks = append(tasks, func(ctx context.Context) { w.pull(ctx, w.hubs[2], stream, false) })
		if w.random.IntN(100) == 0 {
			tasks = append(tasks, w.agree(w.hubs[0]))
		}
		run(ctx, w.random, tasks...)
		if round%life == life-1 && w.random.IntN(4) == 0 {
			w.drain(ctx)
		}
		require.False(t, t.Failed())
	}
	w.clock.Add((30 * 24 * time.Hour).Microseconds())
	register(t, w, ctx) // the log's own clock moves with what is told
	w.drain(ctx)
	return w.check(ctx)
}

func onSQLite(t *testing.T, seed uint64, seen func(eventstore.Store) eventstore.Store) *world {
	ctx, dir := context.Background(), memory(t)
	store, err := sqlite.Open(ctx, sqlite.Config{Dir: dir + "/data"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	keys, err := sqlite.OpenKeys(ctx, dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keys.Close()) })
	return start(t, seed, store, keys, seen)
}

// onPostgres is a world in a schema of its own.
func onPostgres(t *testing.T, seed uint64) *world {
	store, keys := journaltest.Postgres(t, journaltest.Options{})
	return start(t, seed, store, keys, asItIs)
}

// many is fewer where the suite is to be short: under the race detector, and in `make check`.
func many(rounds int) int {
	if testing.Short() {
		return min(rounds, 200)
	}
	return rounds
}

func asItIs(s eventstore.Store) eventstore.Store { return s }

func TestRandomInterleavings(t *testing.T) {
	t.Parallel()
	for part := range 2 {
		t.Run(fmt.Sprint(part), func(t *testing.T) {
			t.Parallel()
			w := onSQLite(t, *seed+uint64(part), asItIs)
			breaches := w.play(t, many(*rounds/2))
			t.Logf("seed %d: accepted %v, refused %v, %d pages left", *seed, w.accepted, w.refused, len(w.handouts))
			require.Empty(t, breaches)
			for _, what := range []string{
				"address-changed", "change-corrected", "change-cancelled", "change-verified", "grant", "withdraw", "link", "unlink", "restrict", "lift",
				"death-registered", "death-corrected", "erase", "snapshots", "look", "pull", "agreement",
				"synth", "pause", "resume", "replay", "park", "redrive",
			} {
				require.True(t, testing.Short() || w.accepted[what] > 0, "no round in which %s was accepted", what)
			}
		})
	}
}

func TestRandomInterleavingsOnPostgres(t *testing.T) {
	t.Parallel()
	w := onPostgres(t, *seed)
	breaches := w.play(t, many(*onPG))
	t.Logf("seed %d: accepted %v, refused %v, %d pages left", *seed, w.accepted, w.refused, len(w.handouts))
	require.Empty(t, breaches)
}

// The checker must find what it is there to find. Each control breaks one thing of the stores, and plays the one meeting in which that
// thing protects somebody: among all operations such a meeting is drawn by chance only, and a control must not hang on chance.
func TestTheCheckerFindsBreaches(t *testing.T) {
	t.Parallel()
	for name, control := range map[string]struct {
		start     func(t *testing.T) *world
		meeting   func(w *world, id citizen.ID) []func(context.Context)
		invariant string
	}{
		"guard off": {
			func(t *testing.T) *world {
				return onSQLite(t, *seed, func(s eventstore.Store) eventstore.Store { return unguarded{s} })
			},
			func(w *world, id citizen.ID) []func(context.Context) {
				return []func(context.Context){w.withdraw(w.hubs[0], id), func(ctx context.Context) { w.pull(ctx, w.hubs[2], "library.s", false) }}
			},
			"invariant 4",
		},
		"restriction off": {
			func(t *testing.T) *world {
				return onSQLite(t, *seed, func(s eventstore.Store) eventstore.Store { return blind{s} })
			},
			func(w *world, id citizen.ID) []func(context.Context) {
				return []func(context.Context){w.restrict(w.hubs[0], id)}
			},
			"invariant 11",
		},
		"sealing off": {
			func(t *testing.T) *world { return undying(t, *seed) },
			func(w *world, id citizen.ID) []func(context.Context) {
				return []func(context.Context){w.erase(w.hubs[0], id)}
			},
			"invariant 8",
		},
		"pause off": {
			func(t *testing.T) *world {
				w := onSQLite(t, *seed, func(s eventstore.Store) eventstore.Store { return deaf{s} })
				w.pull(context.Background(), w.hubs[2], "shelter.s", false) // it knows the stream before the pause
				return w
			},
			func(w *world, _ citizen.ID) []func(context.Context) {
				return []func(context.Context){
					w.pause(w.hubs[0], "shelter.s"), func(ctx context.Context) { w.pull(ctx, w.hubs[2], "shelter.s", false) },
				}
			},
			"invariant 4",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, ctx := control.start(t), context.Background()
			for range 40 { // on a loaded machine the turns fall otherwise, and the meeting may need more tries
				for range 50 {
					id := register(t, w, ctx)
					change := w.change("address-changed", "2026-03-01", w.address())
					change.Consents = []command.Choice{{Agreement: "library", Language: "en"}}
					_, err := w.hubs[0].command.Tell(ctx, w.resident(id), id, change)
					require.NoError(t, err)
					run(ctx, w.random, control.meeting(w, id)...)
				}
				w.drain(ctx)
				if found(w.check(ctx), control.invariant) {
					return
				}
			}
			require.Fail(t, "the checker found nothing")
		})
	}
}

func found(breaches []string, invariant string) bool {
	for _, b := range breaches {
		if len(b) >= len(invariant) && b[:len(invariant)] == invariant {
			return true
		}
	}
	return false
}

// undying is a world whose key store forgets to destroy.
func undying(t *testing.T, seed uint64) *world {
	ctx, dir := context.Background(), memory(t)
	store, err := sqlite.Open(ctx, sqlite.Config{Dir: dir + "/data"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	keys, err := sqlite.OpenKeys(ctx, dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keys.Close()) })
	return start(t, seed, store, immortal{keys}, asItIs)
}

// immortal is a key store that says it destroyed keys, and did not.
type immortal struct{ seal.KeyStore }

func (k immortal) DestroyKeys(ctx context.Context, ids ...seal.KeyID) ([]seal.StoredKey, error) {
	keys, err := k.Keys(ctx, ids...)
	for i := range keys {
		if keys[i].Ref == 0 { // there is nothing to keep
			dead, err := k.KeyStore.DestroyKeys(ctx, ids[i])
			if err != nil {
				return nil, err
			}
			keys[i] = dead[0]
		}
		keys[i].Destroyed, keys[i].Wrapped, keys[i].Epoch = true, nil, 0
	}
	return keys, err
}
