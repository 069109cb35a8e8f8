package delivery_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/adapters/kafka"
	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/schemas"
)

const (
	racePeople = 200
	raceWaves  = 50 // 10,000 withdrawals
	raceLanes  = 2
	raceHands  = 8 // people who withdraw at the same moment
)

// race lets people withdraw while their facts are pulled, read again, sent to Kafka, and pushed to an endpoint that often fails.
type race struct {
	*testing.T
	journal  *journal.Journal
	command  *command.Handler
	delivery *delivery.Delivery
	stream   string
	people   []citizen.ID
	moments  chan struct{} // a value was handed out, or nothing is due: somebody may withdraw

	mu       sync.Mutex
	handouts []handout
	ended    map[citizen.ID][]time.Time // when each of a person's withdrawals had been acknowledged
	late     atomic.Int64               // sends that began or were acknowledged after their time
	posted   atomic.Int64               // requests that the endpoint took
}

// handout is what one call gave to a reader or a sender.
type handout struct {
	lane          int
	began         time.Time
	before, after int64 // the log's heads
	messages      []delivery.Message
}

func newRace(t *testing.T, j *journal.Journal) *race {
	t.Helper()
	r := &race{
		T: t, journal: j, moments: make(chan struct{}, 2*raceHands), command: command.New(j), delivery: delivery.New(j), ended: map[citizen.ID][]time.Time{},
		stream: "race." + strings.ReplaceAll(uuid.NewString(), "-", "")[:12],
	}
	a, err := schemas.ParseAgreement("race.yaml", fmt.Appendf(nil, `id: race
version: 1
ministry: race
stream: %s
title: {en: Test, fr: Essai}
purpose: {en: Test, fr: Essai}
basis: {kind: consent}
population: all
snapshot: false
lanes: %d
shares: [{event: language-changed, fields: [language]}]
`, r.stream, raceLanes), j.Registry())
	require.NoError(t, err)
	_, err = r.command.LoadAgreements(context.Background(), command.Command{Actor: operator}, []consent.Agreement{a})
	require.NoError(t, err)
	references := make([]string, racePeople)
	for i := range references {
		references[i] = fmt.Sprint(i)
	}
	r.people, err = j.Register(context.Background(), "race", references...)
	require.NoError(t, err)
	require.NoError(t, j.EnsureKeys(context.Background(), r.people...))
	r.tell(citizen.Change{Type: citizen.PersonRegistered, Data: map[string]any{
		"given_names": "Invented", "family_name": "Person", "birth_date": "1980-05-17", "language": "en",
	}})
	return r
}

// tell appends the same events about everybody, at once.
func (r *race) tell(events ...any) {
	r.Helper()
	steps := make([]journal.Step, len(r.people))
	for i, id := range r.people {
		var news []journal.New
		for _, event := range events {
			one := journal.New{Event: event, Meta: journal.Meta{Effective: "2026-01-05"}}
			if _, ok := event.(journal.Decided); ok {
				one.Cause = eventstore.CauseBefore(1)
			}
			news = append(news, one)
		}
		steps[i] = stepOf(id, news...)
	}
	_, err := r.journal.Append(context.Background(), steps...)
	require.NoError(r, err)
}

// wave grants, tells and withdraws once for everybody: the first half as fast as they can, before most is disclosed; the others at the pace
// at which facts are disclosed, so that theirs has just been, or is about to be.
func (r *race) wave() {
	r.Helper()
	law, err := r.journal.FreshLaw(context.Background())
	require.NoError(r, err)
	r.tell(
		journal.ConsentGranted{Agreement: "race", Version: 1, Capacity: "self", Language: "en"},
		citizen.Change{Type: "language-changed", Data: map[string]any{"language": "fr"}},
		journal.Decided{Agreements: law.Version, Engine: consent.EngineVersion, Decisions: []journal.Decision{{Agreement: "race", Version: 1, Fields: 1}}},
	)
	turns := make(chan int, len(r.people))
	order := rand.Perm(len(r.people))
	for turn := range order {
		turns <- turn
	}
	close(turns)
	var hands sync.WaitGroup
	failed := make(chan error, len(r.people))
	for range raceHands {
		hands.Go(func() {
			for turn := range turns {
				if turn >= len(r.people)/2 {
					<-r.moments
				}
				id := r.people[order[turn]]
				c := command.Command{Actor: source, Issuer: journal.IssuerImport}
				if _, err := r.command.Withdraw(context.Background(), c, id, "race"); err != nil {
					failed <- err
				}
				acknowledged := time.Now()
				r.mu.Lock()
				r.ended[id] = append(r.ended[id], acknowledged)
				r.mu.Unlock()
			}
		})
	}
	hands.Wait()
	close(failed)
	require.NoError(r, <-failed)
}

// pull reads a lane on, and every fourth time something older again.
func (r *race) pull(ctx context.Context, lane int) {
	var last int64
	for round := 0; ctx.Err() == nil; round++ {
		after := last
		if round%4 == 3 && last > 0 {
			after = rand.Int64N(last)
		}
		page := r.next(ctx, lane, after)
		if len(page.Messages) > 0 {
			last = max(last, page.Messages[len(page.Messages)-1].Cursor.Number)
		}
	}
}

// drain pulls what is left of a wave, so that the next one is a race again.
func (r *race) drain() {
	r.Helper()
	for lane := range raceLanes {
		for more := true; more; {
			lanes, err := r.delivery.Status(context.Background())
			require.NoError(r, err)
			for _, l := range lanes {
				if l.Stream == r.stream && l.Lane == lane {
					more = len(r.next(context.Background(), lane, l.Last).Messages) > 0
				}
			}
		}
	}
}

func (r *race) next(ctx context.Context, lane int, after int64) delivery.Page {
	h := handout{lane: lane, began: time.Now()}
	before, err := r.journal.Store().Head(ctx)
	if err != nil {
		return delivery.Page{}
	}
	page, err := r.delivery.Next(ctx, r.stream, lane, after, 16, 20*time.Millisecond)
	for range max(1, len(page.Messages)) {
		select {
		case r.moments <- struct{}{}:
		default:
		}
	}
	if err != nil || len(page.Messages) == 0 {
		return page
	}
	head, err := r.journal.Store().Head(context.WithoutCancel(ctx))
	if err == nil {
		h.before, h.after, h.messages = before.Position, head.Position, page.Messages
		r.keep(h)
	}
	return page
}

func (r *race) keep(h handout) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.handouts = append(r.handouts, h)
}

// watched is a Sender whose sends are looked at. What covers them on the log is checked there.
type watched struct {
	delivery.Sender
	race *race
}

func (s *watched) Send(ctx context.Context, messages []delivery.Message) error {
	until, bounded := ctx.Deadline()
	if !bounded || time.Now().After(until) {
		s.race.late.Add(1)
	}
	err := s.Sender.Send(ctx, messages)
	if err == nil && time.Now().After(until) {
		s.race.late.Add(1)
	}
	return err
}

// pushers are a Kafka sender for each lane, or one that keeps nothing where there is no Kafka.
func (r *race) pushers(ctx context.Context, run *sync.WaitGroup) {
	r.Helper()
	var client *kafka.Client
	if brokers := os.Getenv("KAFKA_BROKERS"); brokers != "" {
		var err error
		client, err = kafka.Open(ctx, kafka.Config{Brokers: strings.Split(brokers, ","), Logger: slog.New(slog.DiscardHandler)})
		require.NoError(r, err)
		r.Cleanup(func() { require.NoError(r, client.Close()) })
	} else {
		require.Empty(r, os.Getenv("CI"), "CI has Kafka")
	}
	for lane := range raceLanes {
		var sender delivery.Sender = nowhere{}
		if client != nil {
			sender = client.NewSender(r.journal.Store(), r.stream, lane, raceLanes)
		}
		pusher := &delivery.Pusher{
			Delivery: r.delivery, Stream: r.stream, Lane: lane, Owner: "race", Logger: slog.New(slog.DiscardHandler), Sender: &watched{Sender: sender, race: r},
		}
		run.Go(func() { _ = pusher.Run(ctx) })
	}
}

// Post is the endpoint. What it got counts as handed out: by then at the latest, D ago at the earliest, something on the log let it out.
func (r *race) Post(ctx context.Context, _ journal.EndpointSet, messages []delivery.Message) delivery.Outcome {
	if until, bounded := ctx.Deadline(); !bounded || time.Now().After(until) {
		r.late.Add(1)
	}
	head, err := r.journal.Store().Head(context.WithoutCancel(ctx))
	if err == nil {
		r.keep(handout{lane: messages[0].Cursor.Lane, began: time.Now().Add(-delivery.D), before: -1, after: head.Position, messages: messages})
	}
	switch rand.IntN(8) {
	case 0:
		return delivery.Outcome{Code: "http-500"}
	case 1:
		return delivery.Outcome{Code: "timeout", Down: true}
	}
	r.posted.Add(1)
	return delivery.Outcome{}
}

// couriers push to the endpoint. Their breaker would hold them back for seconds: each time somebody steers the stream, it closes.
func (r *race) couriers(ctx context.Context, run *sync.WaitGroup) {
	r.Helper()
	r.steer(0)
	couriers, err := delivery.NewCouriers(delivery.CourierConfig{
		Delivery: r.delivery, Poster: r, Owner: "race", Logger: slog.New(slog.DiscardHandler), Schedule: slices.Repeat([]time.Duration{time.Millisecond}, 50),
	})
	require.NoError(r, err)
	run.Go(func() { _ = couriers.Run(ctx) })
}

// steer changes the endpoint.
func (r *race) steer(wave int) {
	r.Helper()
	require.NoError(r, r.delivery.SetEndpoint(context.Background(), operator, journal.CommandID{}, journal.EndpointSet{
		Batch: 1 + wave%40, Kind: journal.EndpointWebhook, Secret: "first", Signature: journal.SignatureHMAC, Stream: r.stream, URL: "https://hook.example/in",
	}))
}

type nowhere struct{}

func (nowhere) TakeOver(context.Context) (string, error)       { return "", nil }
func (nowhere) Send(context.Context, []delivery.Message) error { return nil }

// run is a race of so many waves, or until stop says so.
func (r *race) run(waves int, stop func() bool) (withdrawals int) {
	r.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var readers sync.WaitGroup
	defer func() {
		cancel()
		readers.Wait()
	}()
	r.pushers(ctx, &readers)
	r.couriers(ctx, &readers)
	for lane := range raceLanes {
		readers.Go(func() { r.pull(ctx, lane) })
	}
	for wave := range waves {
		r.steer(wave)
		r.wave()
		r.drain()
		if withdrawals += len(r.people); stop() {
			break
		}
	}
	return withdrawals
}

// outcome is what a race came to, by the log and by what was handed out.
type outcome struct {
	leaks, disclosed, dropped, redelivered, recalled int
	first                                            string // the first leak
}

// judge reads the log with a fold of its own. A leak is a value on its way by an event that lies behind the withdrawal of its grant; or in the hands
// of a reader with no event on the log in between that let it out, or who asked after the withdrawal was acknowledged.
func (r *race) judge() (o outcome) {
	r.Helper()
	leak := func(format string, args ...any) {
		if o.leaks++; o.leaks == 1 {
			o.first = fmt.Sprintf(format, args...)
		}
	}
	grants, rounds := map[uuid.UUID]int64{}, map[uuid.UUID]int{}
	facts := map[int64]told{}
	lanes := map[int]*raceLane{}
	err := r.journal.Replay(context.Background(), 0, r.head()+1, func(*eventstore.Recorded) bool { return true }, func(entries []journal.Entry) error {
		for i := range entries {
			e := &entries[i]
			switch event := e.Event.(type) {
			case journal.ConsentGranted:
				grants[e.Subject] = e.Position
			case journal.ConsentWithdrawn:
				delete(grants, e.Subject)
				rounds[e.Subject]++
			case citizen.Change:
				facts[e.Position] = told{subject: e.Subject, round: rounds[e.Subject]}
			case journal.Disclosed:
				lane := laneOf(lanes, event.Lane)
				for k, item := range event.Items {
					number := event.First + int64(k)
					lane.items[number] = item
					if item.Kind != delivery.KindFact {
						continue
					}
					o.disclosed++
					if since, ok := grants[facts[item.Position].subject]; !ok || since > item.Position {
						leak("number %d of lane %d was disclosed at %d, after its grant had ended", number, event.Lane, e.Position)
					}
				}
				o.dropped += len(event.Dropped)
				lane.covers = append(lane.covers, cover{e.Position, event.First, event.First + int64(len(event.Items)) - 1})
			case journal.Redelivered:
				lane := laneOf(lanes, event.Lane)
				for _, number := range event.Recalled {
					lane.recalled[number] = e.Position
					o.recalled++
				}
				for n := event.From; n <= event.To; n++ {
					item := lane.items[n]
					if _, recalled := lane.recalled[n]; recalled || item.Kind != delivery.KindFact {
						continue
					}
					o.redelivered++
					if since, ok := grants[facts[item.Position].subject]; !ok || since > item.Position {
						leak("number %d of lane %d was redelivered at %d, after its grant had ended", n, event.Lane, e.Position)
					}
				}
				lane.covers = append(lane.covers, cover{e.Position, event.From, event.To})
			}
		}
		return nil
	})
	require.NoError(r, err)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range r.handouts {
		lane := laneOf(lanes, h.lane)
		for i := range h.messages {
			m := &h.messages[i]
			item := lane.items[m.Cursor.Number]
			if m.Recalled() || item.Kind != delivery.KindFact {
				continue
			}
			fact := facts[item.Position]
			if ended := r.ended[citizen.ID(fact.subject)]; len(ended) > fact.round && h.began.After(ended[fact.round]) {
				leak("number %d of lane %d was handed to who asked after the withdrawal was acknowledged", m.Cursor.Number, h.lane)
			}
			if !lane.covered(m.Cursor.Number, h.before, h.after) {
				leak("number %d of lane %d was handed out with nothing on the log that let it out", m.Cursor.Number, h.lane)
			}
		}
	}
	if late := r.late.Load(); late > 0 {
		leak("%d sends left too late", late)
	}
	return o
}

func (r *race) head() int64 {
	head, err := r.journal.Head(context.Background())
	require.NoError(r, err)
	return head.Position
}

// told is a fact: whose it is, and how often they had withdrawn before.
type told struct {
	subject uuid.UUID
	round   int
}

type raceLane struct {
	items    map[int64]journal.DisclosedItem
	recalled map[int64]int64
	covers   []cover
}

// cover is an event that let a range of numbers out.
type cover struct{ position, from, to int64 }

func laneOf(lanes map[int]*raceLane, lane int) *raceLane {
	if lanes[lane] == nil {
		lanes[lane] = &raceLane{items: map[int64]journal.DisclosedItem{}, recalled: map[int64]int64{}}
	}
	return lanes[lane]
}

func (l *raceLane) covered(number, before, after int64) bool {
	for _, c := range l.covers {
		if c.position > before && c.position <= after && c.from <= number && number <= c.to {
			return true
		}
	}
	return false
}

// TestNothingLeavesAfterAWithdrawal is the race of 10,000 withdrawals (with -short 1,000) with pulls, replays, Kafka senders and couriers.
func TestNothingLeavesAfterAWithdrawal(t *testing.T) {
	t.Parallel()
	waves := raceWaves
	if testing.Short() {
		waves /= 10
	}
	journaltest.OnBothStores(t, journaltest.Options{Wall: true}, func(t *testing.T, j *journal.Journal) {
		r := newRace(t, j)
		withdrawals := r.run(waves, func() bool { return false })
		o := r.judge()
		t.Logf("%d withdrawals; %d disclosed, %d dropped, %d let out again, %d recalled; %d handouts", withdrawals, o.disclosed, o.dropped, o.redelivered, o.recalled, len(r.handouts))
		require.Zero(t, o.leaks, o.first)
		require.Greater(t, o.disclosed, withdrawals/50, "too few got through for a race")
		require.Greater(t, o.dropped, withdrawals/50, "too few were stopped for a race")
		require.Positive(t, o.redelivered+o.recalled)
		require.Positive(t, r.posted.Load(), "no courier came through")
	})
}

// TestWithoutTheGuardThereAreLeaks is the negative control: the same race finds leaks once the guard is off.
func TestWithoutTheGuardThereAreLeaks(t *testing.T) {
	t.Parallel()
	journaltest.OnBothStores(t, journaltest.Options{Wall: true}, func(t *testing.T, j *journal.Journal) {
		r := newRace(t, j)
		r.delivery.DropGuard()
		withdrawals := r.run(2*raceWaves, func() bool { return r.judge().leaks > 0 })
		o := r.judge()
		t.Logf("%d withdrawals, %d leaks, the first: %s", withdrawals, o.leaks, o.first)
		require.Positive(t, o.leaks)
	})
}
