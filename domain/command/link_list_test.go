package command_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/sqlite"
)

// called registers somebody of a name.
func (b *bundle) called(t testing.TB, given, family, born string) citizen.ID {
	t.Helper()
	ids, err := b.journal.Register(context.Background(), "test", uuid.NewString())
	require.NoError(t, err)
	b.tell(t, ids[0], fact(t, b.journal, "person-registered",
		map[string]any{"given_names": given, "family_name": family, "birth_date": born, "language": "en"}))
	return ids[0]
}

func client(reference, given, family, born string, postal ...string) command.Client {
	c := command.Client{Reference: reference, Identity: citizen.Identity{GivenNames: given, FamilyName: family, BirthDate: born}}
	if len(postal) > 0 {
		c.PostalCode = postal[0]
	}
	c.Content = fmt.Appendf(nil, "%+v", c.Identity)
	return c
}

func byMinistry(ministry string) command.Command {
	return by(journal.Actor{Kind: journal.ActorMinistry, Role: journal.RoleMinistry, ID: ministry, Ministry: ministry})
}

// list links clients of moh and requires what comes of each line.
func (b *bundle) list(t testing.TB, c command.Command, clients []command.Client, want ...string) {
	t.Helper()
	got, err := b.command.LinkList(context.Background(), c, "moh.health-card", clients)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func (b *bundle) reference(t testing.TB, id citizen.ID) string {
	t.Helper()
	states, err := b.journal.FreshStates(context.Background(), id)
	require.NoError(t, err)
	link, _ := states[0].Standing.Link("moh")
	return link.Reference
}

func TestAMatchedListLinksWhoIsMeantOnce(t *testing.T) {
	t.Parallel()
	b, c := setupOn(t, "2026-01-20")
	zoe := b.called(t, "Zoë", "Tremblay", "1980-05-17")
	b.tell(t, zoe, address(t, b.journal, "1 First St"))
	one, two := b.called(t, "Sam", "Twin", "1990-01-02"), b.called(t, "Sam", "Twin", "1990-01-02")
	b.tell(t, two, address(t, b.journal, "2 Second St"))
	renamed := b.called(t, "Old", "Name", "1970-03-04")
	b.tell(t, renamed, fact(t, b.journal, "name-changed", map[string]any{"given_names": "New", "family_name": "Name", "reason": "marriage"}))
	announced := b.called(t, "Present", "Name", "1971-03-04")
	future := fact(t, b.journal, "name-changed", map[string]any{"given_names": "Future", "family_name": "Name", "reason": "court"})
	future.Effective = "2026-02-10"
	b.tell(t, announced, future)
	clients := []command.Client{
		client("r-1", " Zoe\u0308 ", "Tremblay", "1980-05-17", "p9n3x9"),
		client("r-2", "Zoe", "Tremblay", "1980-05-17"),
		client("r-3", "Zoë", "Tremblay", "1980-05-18"),
		client("r-4", "Sam", "Twin", "1990-01-02"),
		client("r-5", "Sam", "Twin", "1990-01-02", "P9N 3X9"),
		client("r-6", "Old", "Name", "1970-03-04"),
		client("r-7", "New", "Name", "1970-03-04"),
		client("r-8", "Future", "Name", "1971-03-04"),
		client("r-9", "New", "Name", "1970-03-04"),
		client("r-7", "New", "Name", "1970-03-04"),
		client("r-10", "Old", "Name", "1970-03-04", "P9N 3X9"),
	}
	want := []string{"linked", "unknown", "unknown", "ambiguous", "linked", "unknown", "linked", "unknown", "unknown", "linked", "unknown"}
	ask := byMinistry("moh")
	b.list(t, ask, clients, want...)
	require.Equal(t, []string{"r-1", "", "r-5", "r-7", ""},
		[]string{b.reference(t, zoe), b.reference(t, one), b.reference(t, two), b.reference(t, renamed), b.reference(t, announced)})
	head := b.head(t)
	b.list(t, ask, clients, want...)
	require.Equal(t, head, b.head(t), "the same list again appends nothing")
	b.refused(t, "command-reused", "/id", func() error {
		other := ask
		other.Content = []byte("another list")
		_, err := b.command.LinkList(context.Background(), other, "moh.health-card", clients[:1])
		return err
	})
	b.list(t, byMinistry("moh"), clients[:1], "linked")
	require.Equal(t, head+1, b.head(t), "who is linked so already stays so; the look is on the log")

	_, err := b.command.Unlink(context.Background(), by(source), zoe, "moh")
	require.NoError(t, err)
	head = b.head(t)
	b.list(t, ask, clients, want...)
	require.Equal(t, head, b.head(t), "the first answer again, and no link that its citizen has ended")

	c.to(t, "2026-02-10")
	b.called(t, "Somebody", "Else", "1999-09-09") // moves the log's clock
	b.list(t, ask, clients, want...)
	require.Empty(t, b.reference(t, announced), "a list that was answered links nobody later")
	b.list(t, byMinistry("moh"), clients[7:8], "linked")
	require.Equal(t, "r-8", b.reference(t, announced), "a name holds from its day on")
	b.settle(t)
	require.Len(t, b.snaps(t, two), 1, "a link by list gives the values, as every link does")
}

// TestAMatchedListRevealsNothing: who is protected, erased, dead, merged away or a client under another reference is as unknown as nobody.
func TestAMatchedListRevealsNothing(t *testing.T) {
	t.Parallel()
	b, _ := setupOn(t, "2026-01-20")
	people := map[string]citizen.ID{}
	for _, given := range []string{"Hidden", "Erased", "Dead", "Merged", "Replaced", "Taken", "Corrected", "Plain"} {
		people[given] = b.called(t, given, "Person", "1980-05-17")
	}
	b.add(t, people["Hidden"], journal.RestrictionSet{Kind: journal.RestrictionViolence})
	b.add(t, people["Erased"], journal.Erased{Classes: []eventstore.Class{eventstore.Facts}})
	b.add(t, people["Dead"], citizen.Change{Type: citizen.DeathRegistered, Effective: "2026-01-02", Data: map[string]any{"death_date": "2026-01-02"}})
	b.add(t, people["Merged"], journal.CitizensMerged{Kept: people["Plain"].String()})
	b.add(t, people["Replaced"], journal.IdentityReplaced{New: uuid.NewString()})
	b.link(t, people["Taken"], "moh", "theirs")
	registered := b.history(t, people["Corrected"])[0]
	right := fact(t, b.journal, "person-registered", map[string]any{"given_names": "Right", "family_name": "Person", "birth_date": "1981-06-18", "language": "en"})
	b.tell(t, people["Corrected"], correct(t, b, registered.Position, right))
	clients := []command.Client{client("n", "Nobody", "Person", "1980-05-17")}
	want := []string{"unknown"}
	for i, given := range []string{"Hidden", "Erased", "Dead", "Merged", "Replaced", "Taken", "Corrected"} {
		clients = append(clients, client(fmt.Sprint(i), given, "Person", "1980-05-17"))
		want = append(want, "unknown")
	}
	clients, want = append(clients, client("p", "Plain", "Person", "1980-05-17")), append(want, "linked")
	clients, want = append(clients, client("c", "Right", "Person", "1981-06-18")), append(want, "linked")
	b.list(t, byMinistry("moh"), clients, want...)
	require.Equal(t, "theirs", b.reference(t, people["Taken"]))
	require.Equal(t, "c", b.reference(t, people["Corrected"]))

	names := journal.NewNames(b.journal)
	for _, given := range []string{"Erased", "Merged", "Replaced"} {
		found, err := names.Find(context.Background(), citizen.Identity{GivenNames: given, FamilyName: "Person", BirthDate: "1980-05-17"})
		require.NoError(t, err)
		require.Len(t, found[0], 1, "somebody is looked at all the same")
		require.NotEqual(t, people[given], found[0][0], "who is not served any more is not in the index")
	}
	before := b.rows(t)
	require.NoError(t, b.journal.Rebuild(context.Background(), names, nil))
	require.Equal(t, before, b.rows(t), "rebuilt, the index is the same")
}

func (b *bundle) rows(t testing.TB) map[string]string {
	t.Helper()
	rows, err := b.journal.Store().Scan(context.Background(), "names", nil, nil, 0, false)
	require.NoError(t, err)
	out := map[string]string{}
	for _, r := range rows {
		out[string(r.Key)] = string(r.Value)
	}
	return out
}

func TestAMatchedListIsTheMinistrysOwn(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b, _ := setupOn(t, "2026-01-20")
	b.called(t, "Plain", "Person", "1980-05-17")
	clients := []command.Client{client("p", "Plain", "Person", "1980-05-17")}
	for _, actor := range []journal.Actor{
		{}, {Kind: journal.ActorMinistry, Ministry: "mto"}, {Kind: journal.ActorOperator}, {Kind: journal.ActorClerk}, source,
	} {
		_, err := b.command.LinkList(ctx, by(actor), "moh.health-card", clients)
		require.ErrorIs(t, err, command.ErrForbidden)
	}
	_, err := b.command.LinkList(ctx, byMinistry("moh"), "no.such", clients)
	require.ErrorIs(t, err, command.ErrForbidden)
	_, err = b.command.LinkList(ctx, byMinistry("mnr"), "mnr.outdoors-card", clients)
	require.ErrorIs(t, err, command.ErrNoLinks)
	_, err = b.command.LinkList(ctx, byMinistry("moh"), "moh.health-card", make([]command.Client, command.MaxClients+1))
	require.ErrorIs(t, err, command.ErrForbidden)
	b.list(t, byMinistry("moh"), clients, "linked")
	entries, err := b.journal.ReadAggregate(ctx, journal.AccessesAggregate, 1, 0)
	require.NoError(t, err)
	last, ok := entries[len(entries)-1].Event.(journal.Accessed)
	require.True(t, ok)
	require.Equal(t, journal.Accessed{Kind: "matched-list", Reason: "matched list", Shown: "moh.health-card: 1 linked, 0 ambiguous, 0 unknown"}, last)
}

// leaving is a store whose caller goes away right after the first links are appended.
type leaving struct {
	eventstore.Store
	stop func()
}

// Append lets the caller go.
func (s *leaving) Append(ctx context.Context, appends ...eventstore.Append) ([]eventstore.Result, error) {
	results, err := s.Store.Append(ctx, appends...)
	if s.stop != nil && appends[0].Events[0].Type == journal.TypeMinistryLinked {
		s.stop()
	}
	return results, err
}

// TestAListGoesOnAfterACrash: a list of which a part is on the log already, without its answer, ends as if nothing had happened.
func TestAListGoesOnAfterACrash(t *testing.T) {
	t.Parallel()
	store := &leaving{}
	b := onStore(t, func(s eventstore.Store) eventstore.Store { store.Store = s; return store })
	b.load(t)
	clients := make([]command.Client, 150)
	ids, want := make([]citizen.ID, len(clients)), make([]string, len(clients))
	for i := range clients {
		ids[i] = b.called(t, fmt.Sprint("Given", i), "Person", "1980-05-17")
		clients[i], want[i] = client(fmt.Sprint(i), fmt.Sprint("Given", i), "Person", "1980-05-17"), "linked"
	}
	ask := byMinistry("moh")
	ctx, stop := context.WithCancel(context.Background())
	store.stop = stop
	_, err := b.command.LinkList(ctx, ask, "moh.health-card", clients)
	require.ErrorIs(t, err, context.Canceled)
	store.stop = nil
	b.list(t, ask, clients, want...)
	for i, id := range ids {
		links := 0
		for _, e := range b.history(t, id) {
			if _, ok := e.Event.(journal.MinistryLinked); ok {
				links++
			}
		}
		require.Equal(t, 1, links)
		require.Equal(t, fmt.Sprint(i), b.reference(t, id))
	}
}

// onStore is a sandbox whose store is wrapped.
func onStore(t testing.TB, wrap func(eventstore.Store) eventstore.Store) *bundle {
	t.Helper()
	store, err := sqlite.Open(context.Background(), sqlite.Config{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	keys, err := sqlite.OpenKeys(context.Background(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keys.Close()) })
	j := journaltest.Begin(t, journaltest.Options{}, wrap(store), keys)
	return &bundle{journal: j, command: command.New(j)}
}
