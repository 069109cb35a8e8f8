package delivery_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/schemas"
)

// bundle is a sandbox with the sample agreements and one registered, linked resident.
type bundle struct {
	t        *testing.T
	ctx      context.Context
	journal  *journal.Journal
	command  *command.Handler
	delivery *delivery.Delivery
	citizen  citizen.ID
}

const (
	health = "moh.health-card" // by statute, linked
	cards  = "mnr.outdoors-card"
)

func setup(t *testing.T) *bundle {
	t.Helper()
	j := journaltest.New(t, journaltest.Options{})
	b := &bundle{t: t, ctx: context.Background(), journal: j, command: command.New(j), delivery: delivery.New(j)}
	files, err := filepath.Glob("../command/testdata/agreements/*.yaml")
	require.NoError(t, err)
	agreements := make([]consent.Agreement, len(files))
	for i, name := range files {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		agreements[i], err = schemas.ParseAgreement(name, text, j.Registry())
		require.NoError(t, err)
	}
	_, err = b.command.LoadAgreements(b.ctx, command.Command{Actor: journal.Actor{Kind: journal.ActorOperator}}, agreements)
	require.NoError(t, err)
	b.citizen = b.register("someone")
	b.link("moh", "first-reference")
	return b
}

func (b *bundle) as() command.Command {
	return command.Command{ID: uuid.NewString(), Scope: "test", Actor: journal.Actor{Kind: journal.ActorSource, ID: "test"}, Issuer: journal.IssuerImport}
}

func (b *bundle) register(reference string) citizen.ID {
	b.t.Helper()
	ids, err := b.journal.Register(b.ctx, "test", reference)
	require.NoError(b.t, err)
	b.tellAbout(ids[0], "person-registered", map[string]any{"given_names": "Invented", "family_name": "Person", "birth_date": "1980-05-17", "language": "en"})
	return ids[0]
}

func (b *bundle) tellAbout(id citizen.ID, eventType string, data map[string]any) command.Result {
	b.t.Helper()
	normalised, canonical, problems := b.journal.Registry().Validate(eventType, data)
	require.Empty(b.t, problems)
	result, err := b.command.Tell(b.ctx, b.as(), id, command.Change{Type: eventType, Effective: "2026-01-05", Data: normalised, Canonical: canonical})
	require.NoError(b.t, err)
	return result
}

func (b *bundle) move(street string) command.Result {
	b.t.Helper()
	return b.tellAbout(b.citizen, "address-changed", map[string]any{
		"kind": "home", "street": street, "city": "Kenora", "province": "ON", "postal_code": "P9N 3X9", "country": "CA",
	})
}

func (b *bundle) link(ministry, reference string) {
	b.t.Helper()
	_, err := b.command.Link(b.ctx, b.as(), b.citizen, command.Linking{Ministry: ministry, ClientReference: reference, Means: "import"})
	require.NoError(b.t, err)
}

func (b *bundle) unlink(ministry string) {
	b.t.Helper()
	_, err := b.command.Unlink(b.ctx, b.as(), b.citizen, ministry)
	require.NoError(b.t, err)
}

func (b *bundle) grant(fields ...string) {
	b.t.Helper()
	_, err := b.command.Grant(b.ctx, b.as(), b.citizen, command.Choice{Agreement: "outdoors-card", Fields: fields, Language: "en"})
	require.NoError(b.t, err)
}

func (b *bundle) withdraw() {
	b.t.Helper()
	_, err := b.command.Withdraw(b.ctx, b.as(), b.citizen, "outdoors-card")
	require.NoError(b.t, err)
}

func (b *bundle) read(stream string, after int64) []delivery.Message {
	b.t.Helper()
	page, err := b.delivery.Next(b.ctx, stream, 0, after, 100, 0)
	require.NoError(b.t, err)
	return page.Messages
}

// lane is everything on the log of a lane.
func (b *bundle) lane(stream string) []journal.Entry {
	b.t.Helper()
	entries, err := b.journal.ReadAggregate(b.ctx, journal.LaneAggregate(stream, 0), 1, 0)
	require.NoError(b.t, err)
	return entries
}

func TestNumbersKeepTheirBytes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.move("1 First St")
	b.move("2 Second St")
	first := b.read(health, 0)
	require.Len(t, first, 2)
	require.Equal(t, "1.0.1", first[0].Cursor.String())
	require.JSONEq(t, `{"city":"Kenora","client_reference":"first-reference","country":"CA","kind":"home","postal_code":"P9N 3X9",`+
		`"province":"ON","street":"1 First St"}`, string(first[0].Data))

	b.delivery = delivery.New(b.journal) // as after a crash between the append and the send
	again := b.read(health, 0)
	require.Equal(t, first, again)
	events := b.lane(health)
	require.Len(t, events, 2)
	require.Equal(t, journal.Redelivered{From: 1, Lane: 0, Stream: health, To: 2}, events[1].Event)

	require.Equal(t, first[1:], b.read(health, 1), "a cursor in the middle")
	require.Empty(t, b.read(health, 2))
	require.Len(t, b.lane(health), 3, "an empty page appends nothing")
}

func TestWhatIsNoLongerPermittedIsRecalledForEver(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.move("1 First St")
	sent := b.read(health, 0)
	b.unlink("moh")
	recalled := b.read(health, 0)
	require.Len(t, recalled, 1)
	require.True(t, recalled[0].Recalled())
	require.Equal(t, sent[0].Key, recalled[0].Key)
	require.JSONEq(t, `{"specversion":"1.0","id":"1.0.1","source":"https://tellonce.example/streams/moh.health-card","type":"tellonce.recalled.v1",`+
		`"kind":"recalled","sequence":"000000000001"}`, string(recalled[0].Structured()))
	b.link("moh", "second-reference")
	require.Equal(t, recalled, b.read(health, 0), "once recalled, always recalled")
}

func TestWhatIsNotPermittedAnyMoreTakesNoNumber(t *testing.T) {
	t.Parallel()
	b := setup(t)
	withheld := b.move("1 First St")
	b.link("moh", "second-reference") // ends the former link: what was told under it does not go out under this one
	shared := b.move("2 Second St")
	got := b.read(health, 0)
	require.Len(t, got, 1)
	require.Contains(t, string(got[0].Data), "second-reference")
	event, ok := b.lane(health)[0].Event.(journal.Disclosed)
	require.True(t, ok)
	require.Equal(t, []int64{withheld.Position}, event.Dropped)
	require.Equal(t, shared.Position, event.Items[0].Position)
	require.Empty(t, b.read(health, 1))
}

func TestAReplacedGrantNarrows(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.grant("street", "city")
	b.move("1 First St")
	b.grant("city", "province") // replaces: province was not granted when it was told
	got := b.read(cards, 0)
	require.Len(t, got, 1)
	require.JSONEq(t, `{"city":"Kenora"}`, string(got[0].Data))
	b.withdraw()
	b.move("2 Second St")
	require.True(t, b.read(cards, 0)[0].Recalled())
	ended := b.read(cards, 1)
	require.Len(t, ended, 1, "that it is over, and nothing of what was told since")
	require.Equal(t, "{}", string(ended[0].Data))
	require.Contains(t, ended[0].Attributes, delivery.Attribute{Name: "kind", Value: delivery.KindEnded})
}

func TestReadingIsRefusedClearly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.move("1 First St")
	b.read(health, 0)
	for name, test := range map[string]struct {
		stream string
		lane   int
		after  int64
		want   error
	}{
		"no such stream":       {"moh.none", 0, 0, delivery.ErrUnknownStream},
		"no such lane":         {health, 1, 0, delivery.ErrUnknownLane},
		"never given out":      {health, 0, 2, delivery.ErrUnknownCursor},
		"far from being given": {health, 0, 1 << 50, delivery.ErrUnknownCursor},
	} {
		_, err := b.delivery.Next(b.ctx, test.stream, test.lane, test.after, 10, 0)
		require.ErrorIs(t, err, test.want, name)
	}
	for _, text := range []string{"", "1", "1.0", "1.0.0", "0.0.1", "1.-1.1", "01.0.1", "1.0.1 ", "1.0.x", "1.0.99999999999999999999", "a.b.c"} {
		_, err := delivery.ParseCursor(text)
		require.ErrorIs(t, err, delivery.ErrCursor, text)
	}
	_, err := b.delivery.After("2.0.1", 0)
	require.ErrorIs(t, err, delivery.ErrUnknownCursor)
}

func TestWaitersShareOneDisclosure(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const waiters = 8
	pages := make([][]delivery.Message, waiters)
	var group sync.WaitGroup
	for i := range waiters {
		group.Go(func() {
			page, err := b.delivery.Next(b.ctx, health, 0, 0, 100, time.Minute)
			if err == nil {
				pages[i] = page.Messages
			}
		})
	}
	require.Eventually(t, func() bool { return b.delivery.Arrived(health, 0) == waiters }, 10*time.Second, time.Millisecond)
	b.move("1 First St")
	group.Wait()
	for i := range pages {
		require.Len(t, pages[i], 1)
		require.Equal(t, pages[0], pages[i])
	}
	require.Len(t, b.lane(health), 1, "one disclosed, shared with its bytes by all who waited")
	b.read(health, 0)
	require.Len(t, b.lane(health), 2, "who comes later redelivers")
}

func TestAWaitEndsWithItsCaller(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx, cancel := context.WithCancel(b.ctx)
	done := make(chan error)
	go func() {
		_, err := b.delivery.Next(ctx, health, 0, 0, 100, time.Hour)
		done <- err
	}()
	require.Eventually(t, func() bool { return b.delivery.Arrived(health, 0) == 1 }, 10*time.Second, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	require.Empty(t, b.lane(health))
}

func TestReceipts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range 3 {
		b.move(fmt.Sprintf("%d First St", i+1))
	}
	b.read(health, 0)
	moh := journal.Actor{Kind: journal.ActorMinistry, Role: journal.RoleMinistry, Ministry: "moh"}
	require.ErrorIs(t, b.delivery.Record(b.ctx, journal.Actor{Kind: journal.ActorMinistry, Ministry: "mto"}, journal.CommandID{}, health, nil), delivery.ErrNotYours)
	for member, receipt := range map[string]delivery.Receipt{
		"from":   {From: "x", To: "1.0.1", Status: "received"},
		"to":     {From: "1.0.1", To: "1.0.4", Status: "received"},
		"status": {From: "1.0.1", To: "1.0.1", Status: "lost"},
		"reason": {From: "1.0.1", To: "1.0.1", Status: "applied", Reason: "because"},
	} {
		var wrong *delivery.ReceiptError
		require.ErrorAs(t, b.delivery.Record(b.ctx, moh, journal.CommandID{}, health, []delivery.Receipt{{From: "1.0.1", To: "1.0.1", Status: "received"}, receipt}), &wrong)
		require.Equal(t, 1, wrong.Index)
		require.Equal(t, member, wrong.Member)
	}
	require.NoError(t, b.delivery.Record(b.ctx, moh, journal.CommandID{}, health, []delivery.Receipt{
		{From: "1.0.1", To: "1.0.3", Status: "received"}, {From: "1.0.1", To: "1.0.1", Status: "applied"},
		{From: "1.0.3", To: "1.0.3", Status: "rejected", Reason: "Unknown client"},
	}))
	given, err := journal.NewTrail(b.journal).Given(b.ctx, b.citizen)
	require.NoError(t, err)
	var statuses []journal.Status
	for _, g := range given {
		if g.Stream == health {
			statuses = append(statuses, g.Status)
		}
	}
	require.Equal(t, []journal.Status{journal.StatusApplied, journal.StatusReceived, journal.StatusRejected}, statuses)
}

// TestWithdrawalBitesAtOnce lets readers race with grants and withdrawals, then checks the log alone: whatever left lies before the end
// of the grant under which it was told.
func TestWithdrawalBitesAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx, stop := context.WithCancel(b.ctx)
	var readers sync.WaitGroup
	rounds := make(chan struct{}) // a reader gives a token after each of its rounds, if somebody waits for one
	for range 3 {
		readers.Go(func() {
			for ctx.Err() == nil {
				select {
				case rounds <- struct{}{}:
				default:
				}
				_, _ = b.delivery.Next(ctx, cards, 0, 0, 5, 0)
				status, err := b.delivery.Status(ctx)
				if err != nil {
					continue
				}
				for _, s := range status {
					if s.Stream == cards {
						_, _ = b.delivery.Next(ctx, cards, 0, s.Last, 5, 0)
					}
				}
			}
		})
	}
	for i := range 40 {
		b.grant()
		b.move(fmt.Sprintf("%d Race St", i+1))
		if i%4 == 0 { // let them read this one; the other times it is a race
			<-rounds
			<-rounds
			<-rounds
			<-rounds
		}
		b.withdraw()
	}
	stop()
	readers.Wait()
	b.read(cards, 0)
	disclosed := b.checkLane(cards)
	require.Positive(t, disclosed, "the race must have let something out, or it shows nothing")
}

// checkLane replays the log with a fold of its own: each fact that was disclosed or redelivered was under a grant that began before it
// and still held at that very position.
func (b *bundle) checkLane(stream string) (disclosed int) {
	b.t.Helper()
	recs, err := b.journal.Store().ReadAll(b.ctx, 0, 100000)
	require.NoError(b.t, err)
	entries, err := b.journal.Open(b.ctx, recs)
	require.NoError(b.t, err)
	since := int64(-1) // the open grant's position
	numbers, recalled := map[int64]int64{}, map[int64]bool{}
	leaves := func(at, number int64) {
		require.False(b.t, recalled[number], "number %d left at %d after it was recalled", number, at)
		require.GreaterOrEqual(b.t, since, int64(0), "number %d left at %d although no grant held", number, at)
		require.Less(b.t, since, numbers[number], "number %d left at %d under a grant that is younger than the fact", number, at)
		disclosed++
	}
	for _, e := range entries {
		switch event := e.Event.(type) {
		case journal.ConsentGranted:
			if since < 0 {
				since = e.Position
			}
		case journal.ConsentWithdrawn:
			since = -1
		case journal.Disclosed:
			for i, item := range event.Items {
				if event.Stream == stream && item.Kind == delivery.KindFact {
					numbers[event.First+int64(i)] = item.Position
					leaves(e.Position, event.First+int64(i))
				}
			}
		case journal.Redelivered:
			if event.Stream != stream {
				continue
			}
			for _, n := range event.Recalled {
				recalled[n] = true
			}
			for n := event.From; n <= event.To; n++ {
				if numbers[n] > 0 && !recalled[n] {
					leaves(e.Position, n)
				}
			}
		}
	}
	return disclosed
}

func TestLanesKeepEachCitizensOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	text := `id: many-lanes
version: 1
ministry: test
stream: test.lanes
title: {en: Test, fr: Essai}
purpose: {en: Test, fr: Essai}
basis: {kind: statute, reference: "Illustration only"}
population: all
lanes: 4
shares: [{event: language-changed, fields: [language]}]
`
	a, err := schemas.ParseAgreement("many-lanes.yaml", []byte(text), b.journal.Registry())
	require.NoError(t, err)
	_, err = b.command.LoadAgreements(b.ctx, command.Command{Actor: journal.Actor{Kind: journal.ActorOperator}}, []consent.Agreement{a})
	require.NoError(t, err)
	for i := range 12 {
		id := b.register(fmt.Sprintf("person-%d", i))
		b.tellAbout(id, "language-changed", map[string]any{"language": "fr"})
		b.tellAbout(id, "language-changed", map[string]any{"language": "en"})
	}
	people := map[string]int{}
	used, total := 0, 0
	for lane := range 4 {
		page, err := b.delivery.Next(b.ctx, "test.lanes", lane, 0, 100, 0)
		require.NoError(t, err)
		for i, m := range page.Messages {
			require.Equal(t, fmt.Sprintf("1.%d.%d", lane, i+1), m.Cursor.String())
			want := []string{"fr", "en"}[people[m.Key]]
			require.JSONEq(t, `{"language":"`+want+`"}`, string(m.Data))
			people[m.Key]++
			total++
		}
		used += min(len(page.Messages), 1)
	}
	require.Equal(t, 24, total)
	require.Greater(t, used, 1, "twelve people are spread over lanes")
	require.False(t, strings.Contains(fmt.Sprint(people), b.citizen.String()))
}
