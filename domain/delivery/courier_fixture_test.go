package delivery_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
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
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/schemas"
)

// post is one request that an endpoint got.
type post struct {
	at       time.Time
	head     int64     // the log's, when it came
	until    time.Time // when it is cut off
	url      string
	messages []delivery.Message
	code     string // what it was answered
}

// rounds is a stream that is pushed to an endpoint which the test plays, by the people of whom it hears.
type rounds struct {
	testing.TB
	ctx      context.Context
	journal  *journal.Journal
	command  *command.Handler
	delivery *delivery.Delivery
	stream   string
	people   []citizen.ID
	schedule []time.Duration
	held     int
	answer   func(m []delivery.Message) delivery.Outcome // nil: accepts

	mu    sync.Mutex
	slow  time.Duration // how long an answer takes
	posts []post
}

// newRounds opens a stream for which the people have consented.
func newRounds(t testing.TB, j *journal.Journal, people, lanes int) *rounds {
	t.Helper()
	r := &rounds{
		TB: t, ctx: context.Background(), journal: j, command: command.New(j), delivery: delivery.New(j),
		stream: "rounds." + strings.ReplaceAll(uuid.NewString(), "-", "")[:12],
	}
	a, err := schemas.ParseAgreement("rounds.yaml", fmt.Appendf(nil, `id: rounds
version: 1
ministry: rounds
stream: %s
title: {en: Test, fr: Essai}
purpose: {en: Test, fr: Essai}
basis: {kind: consent}
population: all
snapshot: false
lanes: %d
shares: [{event: language-changed, fields: [language]}]
`, r.stream, lanes), j.Registry())
	require.NoError(t, err)
	_, err = r.command.LoadAgreements(r.ctx, command.Command{Actor: operator}, []consent.Agreement{a})
	require.NoError(t, err)
	references := make([]string, people)
	for i := range references {
		references[i] = fmt.Sprint(i)
	}
	r.people, err = j.Register(r.ctx, "rounds", references...)
	require.NoError(t, err)
	for i := range r.people {
		r.append(i, citizen.Change{Type: citizen.PersonRegistered, Data: map[string]any{
			"given_names": "Invented", "family_name": "Person", "birth_date": "1980-05-17", "language": "en",
		}})
		r.grant(i)
	}
	return r
}

// append puts events about one of the people onto the log.
func (r *rounds) append(person int, events ...any) {
	r.Helper()
	var news []journal.New
	for _, event := range events {
		one := journal.New{Event: event, Meta: journal.Meta{Effective: "2026-01-05"}}
		if _, ok := event.(journal.Decided); ok {
			one.Cause = eventstore.CauseBefore(1)
		}
		news = append(news, one)
	}
	_, err := r.journal.Append(r.ctx, stepOf(r.people[person], news...))
	require.NoError(r, err)
}

func (r *rounds) grant(person int) {
	r.Helper()
	r.append(person, journal.ConsentGranted{Agreement: "rounds", Version: 1, Capacity: "self", Language: "en"})
}

func (r *rounds) withdraw(person int) {
	r.Helper()
	_, err := r.command.Withdraw(r.ctx, command.Command{Actor: source, Issuer: journal.IssuerImport}, r.people[person], "rounds")
	require.NoError(r, err)
}

// tell tells something about each of the people named, in this order.
func (r *rounds) tell(people ...int) {
	r.Helper()
	law, err := r.journal.FreshLaw(r.ctx)
	require.NoError(r, err)
	for _, person := range people {
		r.append(person,
			citizen.Change{Type: "language-changed", Data: map[string]any{"language": "fr"}},
			journal.Decided{Agreements: law.Version, Engine: consent.EngineVersion, Decisions: []journal.Decision{{Agreement: "rounds", Version: 1, Fields: 1}}})
	}
}

// endpoint sets where the stream is pushed to, so many events a request.
func (r *rounds) endpoint(batch int) {
	r.Helper()
	require.NoError(r, r.delivery.SetEndpoint(r.ctx, operator, journal.CommandID{}, journal.EndpointSet{
		Batch: batch, Kind: journal.EndpointWebhook, Secret: "first", Signature: journal.SignatureHMAC, Stream: r.stream, URL: "https://hook.example/in",
	}))
}

// courier runs couriers as a process of its own does. It ends by the function returned, or with the test.
func (r *rounds) courier(owner string) (stop func()) {
	r.Helper()
	couriers, err := delivery.NewCouriers(delivery.CourierConfig{
		Delivery: delivery.New(r.journal), Poster: r, Owner: owner, Logger: slog.New(slog.DiscardHandler), Schedule: r.schedule, Held: r.held,
		Rand: func() float64 { return 0.5 },
	})
	require.NoError(r, err)
	ctx, cancel := context.WithCancel(r.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil { // as the hub does
			if couriers.Run(ctx) != nil {
				time.Sleep(time.Second)
			}
		}
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	r.Cleanup(stop)
	return stop
}

// answers sets what the endpoint answers from now on; nil: it takes everything.
func (r *rounds) answers(answer func([]delivery.Message) delivery.Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

// takes sets how long the endpoint takes from now on.
func (r *rounds) takes(long time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.slow = long
}

// came is every request so far.
func (r *rounds) came() []post {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.posts)
}

// Post is the endpoint.
func (r *rounds) Post(ctx context.Context, e journal.EndpointSet, messages []delivery.Message) delivery.Outcome {
	until, bounded := ctx.Deadline()
	head, err := r.journal.Store().Head(context.WithoutCancel(ctx))
	if err != nil || !bounded || time.Now().After(until) {
		r.Errorf("a request without a deadline, or after it")
	}
	came := post{at: time.Now(), until: until, head: head.Position, url: e.URL, messages: slices.Clone(messages)}
	cut := r.dawdle(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	var o delivery.Outcome
	switch {
	case cut:
		o = delivery.Outcome{Code: "timeout", Down: true}
	case r.answer != nil:
		o = r.answer(messages)
	}
	came.code = o.Code
	r.posts = append(r.posts, came)
	return o
}

// dawdle takes the endpoint's time, and says whether it was cut off.
func (r *rounds) dawdle(ctx context.Context) bool {
	r.mu.Lock()
	slow := r.slow
	r.mu.Unlock()
	if slow == 0 {
		return false
	}
	select {
	case <-time.After(slow):
		return false
	case <-ctx.Done():
		return true
	}
}

// told is what arrived, in order: "person:number".
func (r *rounds) arrived(lane int) (out []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.posts {
		for i := range p.messages {
			if m := &p.messages[i]; p.code == "" && m.Cursor.Lane == lane {
				out = append(out, fmt.Sprintf("%s:%d", r.person(m.Key), m.Cursor.Number))
			}
		}
	}
	return out
}

// person names whom a key is of.
func (r *rounds) person(key string) string {
	for i, id := range r.people {
		ids, err := r.journal.Pairwise(r.ctx, "rounds", 1, id)
		if err == nil && slices.Contains(ids, key) {
			return string(rune('A' + i))
		}
	}
	return "-"
}

// requests is what came in requests, in order: numbers, and the code of the answer.
func (r *rounds) requests() (out []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.posts {
		var numbers []string
		for i := range p.messages {
			numbers = append(numbers, fmt.Sprint(p.messages[i].Cursor.Number))
		}
		out = append(out, strings.TrimSpace(strings.Join(numbers, ",")+" "+p.code))
	}
	return out
}

// about refuses messages about some of the people.
func (r *rounds) about(o delivery.Outcome, people ...int) func([]delivery.Message) delivery.Outcome {
	var keys []string
	for _, person := range people {
		ids, err := r.journal.Pairwise(r.ctx, "rounds", 1, r.people[person])
		require.NoError(r, err)
		keys = append(keys, ids...)
	}
	return func(messages []delivery.Message) delivery.Outcome {
		if slices.ContainsFunc(messages, func(m delivery.Message) bool { return slices.Contains(keys, m.Key) }) {
			return o
		}
		return delivery.Outcome{}
	}
}
