package command_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/audit"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/eventstore"
)

// calendar is a process's clock that a test moves.
type calendar struct{ now atomic.Int64 }

func (c *calendar) to(t testing.TB, date string) {
	t.Helper()
	at, err := time.Parse(time.DateOnly, date)
	require.NoError(t, err)
	c.now.Store(at.Add(12 * time.Hour).UnixMicro())
}

// setupOn is a sandbox with the sample agreements whose calendar stands at a date; residents move its log's clock along.
func setupOn(t testing.TB, date string) (*bundle, *calendar) {
	t.Helper()
	c := &calendar{}
	c.to(t, date)
	j := journaltest.New(t, journaltest.Options{Clock: func() time.Time { return time.UnixMicro(c.now.Load()) }})
	b := &bundle{journal: j, command: command.New(j), delivery: delivery.New(j), audit: audit.New(j)}
	b.load(t)
	return b, c
}

// settle takes every snapshot that is due.
func (b *bundle) settle(t testing.TB) {
	t.Helper()
	_, err := b.command.Snapshots().Settle(context.Background(), nil)
	require.NoError(t, err)
}

// snap is a snapshot-taken as tests compare it: fields by name, per fact.
type snap struct {
	agreement string
	version   int
	facts     map[int64][]string
}

// snaps are a citizen's snapshots, oldest first.
func (b *bundle) snaps(t testing.TB, id citizen.ID) []snap {
	t.Helper()
	entries := b.history(t, id)
	types := map[int64]string{}
	told, err := b.journal.Told(context.Background(), entries)
	require.NoError(t, err)
	for i := range entries {
		types[entries[i].Position] = told[i].Type
	}
	out := []snap{}
	for i := range entries {
		if s, ok := entries[i].Event.(journal.SnapshotTaken); ok {
			require.Equal(t, s.Cause, entries[i].Cause)
			one := snap{agreement: s.Agreement, version: s.Version, facts: map[int64][]string{}}
			for k, f := range s.Facts {
				require.True(t, k == 0 || s.Facts[k-1].Position < f.Position)
				one.facts[f.Position] = b.journal.FieldNames(types[f.Position], f.Fields)
			}
			out = append(out, one)
		}
	}
	return out
}

func (b *bundle) tell(t testing.TB, id citizen.ID, change command.Change) int64 {
	t.Helper()
	r, err := b.command.Tell(context.Background(), by(source), id, change)
	require.NoError(t, err)
	return r.Position
}

func (b *bundle) grant(t testing.TB, id citizen.ID, agreement string, fields ...string) int64 {
	t.Helper()
	r, err := b.command.Grant(context.Background(), by(source), id, command.Choice{Agreement: agreement, Fields: fields})
	require.NoError(t, err)
	return r.Position
}

func (b *bundle) withdraw(t testing.TB, id citizen.ID, agreement string) {
	t.Helper()
	_, err := b.command.Withdraw(context.Background(), by(source), id, agreement)
	require.NoError(t, err)
}

func (b *bundle) link(t testing.TB, id citizen.ID, ministry, reference string) int64 {
	t.Helper()
	linking := command.Linking{Ministry: ministry, ClientReference: reference, Means: "counter"}
	r, err := b.command.Link(context.Background(), by(source), id, linking)
	require.NoError(t, err)
	return r.Position
}

// add appends an event to a citizen's aggregate as it is, without asking any rule: what other use cases bring onto the log.
func (b *bundle) add(t testing.TB, id citizen.ID, event any) int64 {
	t.Helper()
	r, err := b.journal.Append(context.Background(), journal.Step{
		Events: []journal.New{{Event: event, Aggregate: journal.CitizenAggregate(id), Subject: id, Cause: -1}},
	})
	require.NoError(t, err)
	return r[0].Position
}

func (b *bundle) approved(t testing.TB, a ...consent.Agreement) {
	t.Helper()
	_, err := b.command.LoadAgreements(context.Background(), command.Command{Actor: operator}, a)
	require.NoError(t, err)
}

func mailing(t testing.TB, j *journal.Journal, street, effective string) command.Change {
	t.Helper()
	c := fact(t, j, "address-changed", map[string]any{
		"kind": "mailing", "street": street, "city": "Kenora", "province": "ON", "postal_code": "P9N 3X9", "country": "CA",
	})
	c.Effective = effective
	return c
}

// parksPass is an invented statute that gives everybody's addresses.
func parksPass(t testing.TB, j *journal.Journal) consent.Agreement {
	t.Helper()
	return parseAgreement(t, j, "elections-register",
		"elections-register", "parks-pass", "elections.register", "parks.pass", "ministry: elections", "ministry: parks")
}

var outdoors = []string{"street", "city", "province", "postal_code"}

// TestASnapshotAfterAGrant: what was told before is given as it holds, once, and what is told after comes by itself.
func TestASnapshotAfterAGrant(t *testing.T) {
	t.Parallel()
	b, _ := setupOn(t, "2026-01-20")
	id := b.resident(t)
	b.tell(t, id, address(t, b.journal, "1 Old St"))
	home := b.tell(t, id, address(t, b.journal, "2 New St"))
	mail := b.tell(t, id, mailing(t, b.journal, "PO Box 1", "2026-02-01"))
	b.settle(t)
	require.Empty(t, b.snaps(t, id), "nothing told earlier is shared by itself")

	b.grant(t, id, "outdoors-card")
	after := b.tell(t, id, mailing(t, b.journal, "PO Box 2", "2026-03-01"))
	b.settle(t)
	want := []snap{{"outdoors-card", 1, map[int64][]string{home: outdoors, mail: outdoors}}}
	require.Equal(t, want, b.snaps(t, id), "home as it holds, mailing as announced; what came after the grant has its own decision")
	require.NotContains(t, b.snaps(t, id)[0].facts, after)
	b.settle(t)
	require.NoError(t, b.journal.Store().Drop(context.Background(), "snapshot"))
	head := b.head(t)
	b.settle(t)
	require.Equal(t, head, b.head(t), "read again from the beginning, the log gets nothing new")
}

func TestAWithdrawalBeforeTheSnapshotLeavesNothing(t *testing.T) {
	t.Parallel()
	b, _ := setupOn(t, "2026-01-20")
	id := b.resident(t)
	home := b.tell(t, id, address(t, b.journal, "1 First St"))
	b.grant(t, id, "outdoors-card")
	b.withdraw(t, id, "outdoors-card")
	b.settle(t)
	require.Empty(t, b.snaps(t, id))

	b.grant(t, id, "outdoors-card")
	b.withdraw(t, id, "outdoors-card")
	again := b.grant(t, id, "outdoors-card")
	b.settle(t)
	b.withdraw(t, id, "outdoors-card")
	third := b.grant(t, id, "outdoors-card")
	b.settle(t)
	one := snap{"outdoors-card", 1, map[int64][]string{home: outdoors}}
	require.Equal(t, []snap{one, one}, b.snaps(t, id), "each new consent after a withdrawal gives the values anew")
	var causes []int64
	for _, e := range b.history(t, id) {
		if s, ok := e.Event.(journal.SnapshotTaken); ok {
			causes = append(causes, s.Cause)
		}
	}
	require.Equal(t, []int64{again, third}, causes)
}

// TestAWiderGrantGivesTheWholeValue: narrowed, then widened again, a value is given with all that is permitted.
func TestAWiderGrantGivesTheWholeValue(t *testing.T) {
	t.Parallel()
	b, _ := setupOn(t, "2026-01-20")
	id := b.resident(t)
	home := b.tell(t, id, address(t, b.journal, "1 First St"))
	b.grant(t, id, "outdoors-card", "city")
	b.settle(t)
	b.grant(t, id, "outdoors-card", "city", "street")
	b.settle(t)
	b.grant(t, id, "outdoors-card", "city")
	b.settle(t)
	b.grant(t, id, "outdoors-card", "city", "street")
	b.settle(t)
	b.settle(t)
	require.Equal(t, []snap{
		{"outdoors-card", 1, map[int64][]string{home: {"city"}}},
		{"outdoors-card", 1, map[int64][]string{home: {"street", "city"}}},
		{"outdoors-card", 1, map[int64][]string{home: {"street", "city"}}},
	}, b.snaps(t, id), "the narrower grant may have been the rule when the value left")
}

func TestALinkGivesItsMinistryAndARelinkAgain(t *testing.T) {
	t.Parallel()
	b, _ := setupOn(t, "2026-01-20")
	id := b.resident(t)
	home := b.tell(t, id, address(t, b.journal, "1 First St"))
	b.link(t, id, "moh", "8805")
	b.settle(t)
	b.link(t, id, "moh", "9916")
	b.settle(t)
	one := snap{"moh-health-card", 1, map[int64][]string{home: {"kind", "street", "city", "province", "postal_code", "country"}}}
	require.Equal(t, []snap{one, one}, b.snaps(t, id))
	b.link(t, id, "mnr", "x")
	b.settle(t)
	require.Len(t, b.snaps(t, id), 2, "an agreement that needs no link gives nothing for one")
}

func TestTheProtectedAndTheGoneGiveNothing(t *testing.T) {
	t.Parallel()
	b, _ := setupOn(t, "2026-01-20")
	hidden, erased, merged := b.resident(t), b.resident(t), b.resident(t)
	for _, id := range []citizen.ID{hidden, erased, merged} {
		b.tell(t, id, address(t, b.journal, "1 First St"))
		b.grant(t, id, "outdoors-card")
	}
	b.add(t, hidden, journal.RestrictionSet{Kind: journal.RestrictionViolence})
	b.add(t, erased, journal.Erased{Classes: []eventstore.Class{eventstore.Facts}})
	b.add(t, merged, journal.CitizensMerged{Kept: hidden.String()})
	b.settle(t)
	for _, id := range []citizen.ID{hidden, erased, merged} {
		require.Empty(t, b.snaps(t, id))
	}
	b.add(t, hidden, journal.RestrictionLifted{})
	b.settle(t)
	require.Empty(t, b.snaps(t, hidden), "the end of a protection is no trigger")
	b.grant(t, hidden, "outdoors-card")
	b.settle(t)
	require.Len(t, b.snaps(t, hidden), 1)
}

func TestADeathTakenBackGivesAnew(t *testing.T) {
	t.Parallel()
	b, _ := setupOn(t, "2026-01-20")
	id := b.resident(t)
	b.grant(t, id, "outdoors-card")
	home := b.tell(t, id, address(t, b.journal, "1 First St"))
	died, err := b.command.Tell(context.Background(), by(journal.Actor{Kind: journal.ActorRegistrar}), id, death(t, b.journal))
	require.NoError(t, err)
	b.settle(t)
	require.Empty(t, b.snaps(t, id))
	b.add(t, id, journal.DeathCorrected{Corrects: died.Position})
	b.settle(t)
	require.Equal(t, []snap{{"outdoors-card", 1, map[int64][]string{home: outdoors}}}, b.snaps(t, id))
}

// TestAnAgreementComesIntoForce: a new statute, a wider version and a narrower one, and those whose day is yet to come.
func TestAnAgreementComesIntoForce(t *testing.T) {
	t.Parallel()
	b, _ := setupOn(t, "2026-01-20")
	ids := make([]citizen.ID, 150)
	home := map[citizen.ID]int64{}
	for i := range ids {
		ids[i] = b.resident(t)
		home[ids[i]] = b.tell(t, ids[i], address(t, b.journal, "1 First St"))
	}
	b.settle(t)
	parks := parksPass(t, b.journal)
	parks.Shares = []consent.Share{{Event: "address-changed", Fields: []string{"city"}}}
	b.approved(t, parks)
	b.settle(t)
	for _, id := range ids {
		require.Equal(t, []snap{{"parks-pass", 1, map[int64][]string{home[id]: {"city"}}}}, b.snaps(t, id))
	}
	later := b.tell(t, ids[0], address(t, b.journal, "2 Second St"))
	wider := parks
	wider.Version = 2
	wider.Shares = []consent.Share{{Event: "address-changed", Fields: []string{"city", "street"}}}
	b.approved(t, wider)
	newcomer := b.resident(t)
	b.tell(t, newcomer, address(t, b.journal, "3 Third St"))
	b.settle(t)
	require.Equal(t, snap{"parks-pass", 2, map[int64][]string{later: {"street", "city"}}}, b.snaps(t, ids[0])[1])
	require.Empty(t, b.snaps(t, newcomer), "who came after the approval has decisions of their own")
	narrower := parks
	narrower.Version = 3
	b.approved(t, narrower)
	head := b.head(t)
	b.settle(t)
	require.Equal(t, head, b.head(t), "a narrower version gives nothing")
	again := wider
	again.Version = 4
	b.approved(t, again)
	b.settle(t)
	require.Equal(t, snap{"parks-pass", 4, map[int64][]string{later: {"street", "city"}}}, b.snaps(t, ids[0])[2])
	silent := wider
	silent.Version, silent.Snapshot = 5, false
	silent.Shares = []consent.Share{{Event: "address-changed", Fields: []string{"city", "street", "province"}}}
	head = b.head(t)
	b.approved(t, silent)
	b.settle(t)
	require.Equal(t, head+2, b.head(t), "snapshot: false takes none")
}

// TestAnAgreementWaitsForItsDay: approved today, in force next month: on that day everybody's values of that day are given.
func TestAnAgreementWaitsForItsDay(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b, c := setupOn(t, "2026-01-20")
	early := b.resident(t)
	home := b.tell(t, early, address(t, b.journal, "1 First St"))
	b.settle(t)
	parks := parksPass(t, b.journal)
	parks.ValidFrom, _ = consent.ParseDate("2026-02-15")
	b.approved(t, parks)
	b.settle(t)
	jobs, err := b.command.Snapshots().Jobs(ctx)
	require.NoError(t, err)
	var waiting []command.SnapshotJob
	for _, job := range jobs {
		if job.State == command.JobWaiting && job.Agreement == "parks-pass" {
			waiting = append(waiting, job)
		}
	}
	require.Len(t, waiting, 1)
	require.Equal(t, "2026-02-15", waiting[0].On.String())
	c.to(t, "2026-02-14")
	between := b.resident(t)
	home2 := b.tell(t, between, address(t, b.journal, "2 Second St"))
	b.settle(t)
	require.Empty(t, b.snaps(t, early))
	c.to(t, "2026-02-15")
	onTheDay := b.resident(t) // moves the log's clock
	b.settle(t)
	street := []string{"street", "city", "province", "postal_code"}
	require.Equal(t, []snap{{"parks-pass", 1, map[int64][]string{home: street}}}, b.snaps(t, early))
	require.Equal(t, []snap{{"parks-pass", 1, map[int64][]string{home2: street}}}, b.snaps(t, between), "who came before the day, too")
	require.Empty(t, b.snaps(t, onTheDay))
	jobs, err = b.command.Snapshots().Jobs(ctx)
	require.NoError(t, err)
	last := jobs[len(jobs)-1]
	require.Equal(t, command.JobDone, last.State)
	require.Equal(t, int64(2), last.People, "who came on the day has decisions of their own")
	require.Equal(t, int64(2), last.Taken)
	require.Equal(t, last.Total, last.Done)
}

func TestAnAgreementWithoutSnapshotsTakesNone(t *testing.T) {
	t.Parallel()
	b, _ := setupOn(t, "2026-01-20")
	silent := parseAgreement(t, b.journal, "outdoors-card", "id: outdoors-card", "id: silent", "mnr.outdoors-card", "mnr.silent")
	silent.Snapshot = false
	b.approved(t, silent)
	id := b.resident(t)
	b.tell(t, id, address(t, b.journal, "1 First St"))
	b.grant(t, id, "silent")
	b.settle(t)
	require.Empty(t, b.snaps(t, id))
}
