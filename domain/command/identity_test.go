package command_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
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

var second = journal.Actor{Kind: journal.ActorProtector, Role: journal.RoleProtector, ID: "protector-2"}

// hunted is somebody with two references, a link, a grant and an address, and the new identity that is to be theirs.
func (b *bundle) hunted(t testing.TB) (citizen.ID, command.Replacement) {
	t.Helper()
	ctx := context.Background()
	ids, err := b.journal.Register(ctx, "test", "old-"+uuid.NewString())
	require.NoError(t, err)
	id := ids[0]
	sign := journal.SourceReference{Source: "sign-in", Reference: "sign-" + uuid.NewString()}
	require.NoError(t, b.journal.GiveReferences(ctx, citizen.ID(uuid.New()), id, sign))
	data := map[string]any{"given_names": "Hunted", "family_name": "Quagliarella", "birth_date": "1980-05-17", "language": "en"}
	_, err = b.command.Tell(ctx, by(source), id, fact(t, b.journal, "person-registered", data))
	require.NoError(t, err)
	_, err = b.command.Link(ctx, by(source), id, command.Linking{Ministry: "moh", ClientReference: "r"})
	require.NoError(t, err)
	_, err = b.command.Grant(ctx, by(source), id, command.Choice{Agreement: "outdoors-card"})
	require.NoError(t, err)
	_, err = b.command.Tell(ctx, by(source), id, address(t, b.journal, "1 First St"))
	require.NoError(t, err)
	change := fact(t, b.journal, "person-registered", map[string]any{"given_names": "Other", "family_name": "Lindqvist", "birth_date": "1981-06-18", "language": "fr"})
	return id, command.Replacement{
		Data: change.Data, Canonical: change.Canonical, References: []journal.SourceReference{sign}, Reason: "Danger to life", Case: "C-7",
	}
}

// asked is a replacement's first half.
func (b *bundle) asked(t testing.TB, id citizen.ID, r command.Replacement) int64 {
	t.Helper()
	result, err := b.command.AskReplacement(context.Background(), by(protector), id, r)
	require.NoError(t, err)
	return result.Position
}

// successor is who stands behind a reference now.
func (b *bundle) successor(t testing.TB, r command.Replacement) citizen.ID {
	t.Helper()
	ids, err := b.journal.Reference(context.Background(), r.References[0].Source, r.References[0].Reference)
	require.NoError(t, err)
	return ids[0]
}

func TestAnIdentityIsReplacedByTwo(t *testing.T) {
	t.Parallel()
	ctx, b := context.Background(), setup(t)
	b.load(t)
	id, r := b.hunted(t)
	request := b.asked(t, id, r)
	b.refused(t, "same-person", "-", func() error { _, err := b.command.Replace(ctx, by(protector), request, r); return err })
	other := r
	other.References = nil
	for _, wrong := range []int64{-1, 0, request - 1, request + 1000} {
		b.refused(t, "no-such-request", "/request", func() error { _, err := b.command.Replace(ctx, by(second), wrong, r); return err })
	}
	b.refused(t, "no-such-request", "/request", func() error { _, err := b.command.Replace(ctx, by(second), request, other); return err })
	someone := b.bornOn(t, "1970-01-01")
	b.refused(t, "unknown-person", "/data/references", func() error {
		_, err := b.command.AskReplacement(ctx, by(protector), someone, r)
		return err
	})
	b.refused(t, "schema", "/data/reason", func() error {
		_, err := b.command.AskReplacement(ctx, by(protector), id, command.Replacement{Data: r.Data, Canonical: r.Canonical})
		return err
	})

	c := by(second)
	first, err := b.command.Replace(ctx, c, request, r)
	require.NoError(t, err)
	successor := b.successor(t, r)
	require.NotEqual(t, id, successor)
	require.False(t, successor.IsZero())

	old := b.state(t, id)
	require.Empty(t, old.Standing.Grants)
	require.Empty(t, old.Standing.Links)
	require.True(t, b.protected(t, id))
	require.Equal(t, journal.TypeIdentityReplaced, old.Gone.Why)
	today := b.journal.DayOf(b.journal.Now(journal.Timing{Told: true})).Date
	fresh := b.state(t, successor)
	require.True(t, fresh.Profile.Registered)
	require.Equal(t, "1981-06-18", fresh.Standing.Born.String())
	require.True(t, fresh.VisibleTo(clerk, today))
	entries := b.history(t, successor)
	require.Equal(t, "Lindqvist", entries[0].Event.(citizen.Change).Data["family_name"])
	require.True(t, entries[0].Event.(citizen.Change).Verified)
	require.Empty(t, entries[0].Meta.Actor)

	// Repeated, also where we stopped before the references were moved: the same.
	require.NoError(t, b.journal.GiveReferences(ctx, successor, id, r.References...))
	head := b.head(t)
	again, err := b.command.Replace(ctx, c, request, r)
	require.NoError(t, err)
	require.True(t, again.Repeated)
	require.Equal(t, first.Position, again.Position)
	require.Equal(t, head, b.head(t))
	require.Equal(t, successor, b.successor(t, r))
	b.refused(t, "unknown-person", "/person", func() error { _, err := b.command.Replace(ctx, by(second), request, r); return err })
}

// stopping is a store that dies before it ends an old identity.
type stopping struct {
	eventstore.Store
	dead bool
}

var errDead = errors.New("dead")

func (s *stopping) Append(ctx context.Context, appends ...eventstore.Append) ([]eventstore.Result, error) {
	for _, a := range appends {
		for _, e := range a.Events {
			if s.dead && e.Type == journal.TypeIdentityReplaced {
				return nil, errDead
			}
		}
	}
	return s.Store.Append(ctx, appends...)
}

// TestAReplacementThatStoppedGoesOn: the process died after the new identity was registered.
func TestAReplacementThatStoppedGoesOn(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	store, err := sqlite.Open(ctx, sqlite.Config{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	keys, err := sqlite.OpenKeys(ctx, t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keys.Close()) })
	mortal := &stopping{Store: store, dead: true}
	j := journaltest.Begin(t, journaltest.Options{}, mortal, keys)
	b := &bundle{journal: j, command: command.New(j), audit: audit.New(j)}
	b.load(t)
	id, r := b.hunted(t)
	request, c := b.asked(t, id, r), by(second)
	_, err = b.command.Replace(ctx, c, request, r)
	require.ErrorIs(t, err, errDead)
	require.Nil(t, b.state(t, id).Gone)
	registered := b.count(t, citizen.PersonRegistered)
	require.Equal(t, 2, registered)
	mortal.dead = false
	_, err = b.command.Replace(ctx, c, request, r)
	require.NoError(t, err)
	require.NotNil(t, b.state(t, id).Gone)
	require.Equal(t, registered, b.count(t, citizen.PersonRegistered), "one new identity, however often it is tried")
	require.True(t, b.state(t, b.successor(t, r)).Profile.Registered)
}

// count is how many records of a type are on the log.
func (b *bundle) count(t testing.TB, eventType string) (n int) {
	t.Helper()
	recs, err := b.journal.Store().ReadAll(context.Background(), 0, 10_000)
	require.NoError(t, err)
	for i := range recs {
		if recs[i].Type == eventType {
			n++
		}
	}
	return n
}

func TestARequestHoldsForADay(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	j := journaltest.New(t, journaltest.Options{Wall: true, Clock: func() time.Time { return now }})
	b := &bundle{journal: j, command: command.New(j)}
	b.load(t)
	id, r := b.hunted(t)
	request := b.asked(t, id, r)
	now = now.Add(command.RequestHolds + time.Second)
	b.refused(t, "no-such-request", "/request", func() error {
		_, err := b.command.Replace(context.Background(), by(second), request, r)
		return err
	})
	request = b.asked(t, id, r)
	now = now.Add(command.RequestHolds - time.Second)
	_, err := b.command.Replace(context.Background(), by(second), request, r)
	require.NoError(t, err)
}

// TestNothingTiesTheTwo: no record that the hub opens alone names both, and no row of a view. Two officers
// together read it, and that is on the log first.
func TestNothingTiesTheTwo(t *testing.T) {
	t.Parallel()
	ctx, b := context.Background(), setup(t)
	b.load(t)
	id, r := b.hunted(t)
	before := b.leave(t)
	require.NotEmpty(t, before)
	request := b.asked(t, id, r)
	_, err := b.command.Replace(ctx, by(second), request, r)
	require.NoError(t, err)
	successor := b.successor(t, r)
	_, err = b.command.Link(ctx, by(source), successor, command.Linking{Ministry: "moh", ClientReference: "new"})
	require.NoError(t, err)
	_, err = b.command.Tell(ctx, by(source), successor, address(t, b.journal, "9 Ninth St"))
	require.NoError(t, err)
	fresh := 0
	for subject, text := range b.leave(t) {
		require.False(t, names([]byte(text), id) || names([]byte(text), successor), "an id of the hub's own left it")
		if _, known := before[subject]; !known {
			fresh++
			require.NotContains(t, text, "First St")
		}
	}
	require.Positive(t, fresh, "streams know the new identity under ids of its own")
	views := append(b.delivery.Views(), journal.NewTrail(b.journal), journal.NewProtection(b.journal), journal.NewRelatives(b.journal),
		journal.NewNames(b.journal), audit.NewDeaths(b.journal), b.command.Retention(), b.command.Merger())
	for _, view := range views {
		require.NoError(t, b.journal.Rebuild(ctx, view, nil))
		rows, err := b.journal.Store().Scan(ctx, view.Name(), nil, nil, 0, false)
		require.NoError(t, err)
		for _, row := range rows {
			text := slices.Concat(row.Key, []byte{0}, row.Value)
			require.False(t, names(text, id) && names(text, successor), "view %s", view.Name())
		}
	}
	recs, err := b.journal.Store().ReadAll(ctx, 0, 10_000)
	require.NoError(t, err)
	entries, err := b.journal.Open(ctx, recs)
	require.NoError(t, err)
	locked := 0
	for i := range entries {
		if entries[i].Err != nil {
			require.ErrorIs(t, entries[i].Err, seal.ErrLocked)
			require.Equal(t, eventstore.IdentityTie, entries[i].Class)
			locked++
			continue
		}
		text := fmt.Appendf(nil, "%+v %+v %s %s", entries[i].Event, entries[i].Meta, entries[i].Subject, entries[i].Aggregate.ID)
		require.False(t, names(text, id) && names(text, successor), "record %d", i)
	}
	require.Equal(t, 1, locked)

	auditor := audit.New(b.journal)
	session, err := auditor.AskTie(ctx, protector, journal.IssuerAPI, audit.Look{Reason: "A court asks"}, audit.Who{Receipt: journal.Receipt(b.history(t, id)[0].ID)})
	require.NoError(t, err)
	_, err = auditor.OpenTie(ctx, protector, journal.IssuerAPI, session.Position, "A court asks")
	require.ErrorIs(t, err, audit.ErrSameOfficer)
	tie, err := auditor.OpenTie(ctx, second, journal.IssuerAPI, session.Position, "A court asks")
	require.NoError(t, err)
	require.Equal(t, id, tie.Old)
	require.Equal(t, successor, tie.New)
}

// leave reads every stream to its end: all bytes of the events that left, by stream and by their key on Kafka.
func (b *bundle) leave(t testing.TB) map[string]string {
	t.Helper()
	ctx := context.Background()
	law, err := b.journal.FreshLaw(ctx)
	require.NoError(t, err)
	out := map[string]string{}
	for name := range law.Streams {
		for after := int64(0); ; {
			page, err := b.delivery.Next(ctx, name, 0, after, 100, 0)
			require.NoError(t, err)
			if len(page.Messages) == 0 {
				break
			}
			for i := range page.Messages {
				m := &page.Messages[i]
				after = m.Cursor.Number
				out[name+" "+m.Key] += string(m.Structured())
			}
		}
	}
	return out
}

// names says whether a text holds a citizen's id, as bytes or as text.
func names(text []byte, id citizen.ID) bool {
	return bytes.Contains(text, id[:]) || bytes.Contains(bytes.ToLower(text), []byte(id.String()))
}

// TestAReferenceOfSomebodyElseStaysTheirs: it was registered anew before the replacement came to it.
func TestAReferenceOfSomebodyElseStaysTheirs(t *testing.T) {
	t.Parallel()
	ctx, b := context.Background(), setup(t)
	ids, err := b.journal.Register(ctx, "test", "taken")
	require.NoError(t, err)
	_, err = b.command.Tell(ctx, by(source), ids[0], person(t, b.journal))
	require.NoError(t, err)
	successor := b.bornOn(t, "1980-01-01")
	require.NoError(t, b.journal.GiveReferences(ctx, citizen.ID(uuid.New()), successor, journal.SourceReference{Source: "test", Reference: "taken"}))
	still, err := b.journal.Reference(ctx, "test", "taken")
	require.NoError(t, err)
	require.Equal(t, ids[0], still[0])
}
