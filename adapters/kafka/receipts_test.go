package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/schemas"
)

// answered is a log with a stream of the test's own, that has given so many numbers, and the topic of its receipts.
type answered struct {
	*testing.T
	client    *Client
	delivery  *delivery.Delivery
	journal   *journal.Journal
	stream    journal.StreamOpened
	publisher *Publisher
	logs      *safeBuffer
}

type safeBuffer struct {
	sync.Mutex
	bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.Lock()
	defer b.Unlock()
	return b.Buffer.Write(p)
}

func (b *safeBuffer) String() string {
	b.Lock()
	defer b.Unlock()
	return b.Buffer.String()
}

func setupAnswered(t *testing.T, numbers, partitions int) *answered {
	t.Helper()
	j := journaltest.New(t, journaltest.Options{})
	a := &answered{T: t, client: open(t, Config{Brokers: brokers(t)}), delivery: delivery.New(j), journal: j, logs: &safeBuffer{}}
	name, commands, ctx := "test-"+strings.ReplaceAll(uuid.NewString(), "-", "")[:12], command.New(j), context.Background()
	deleteAfterwards(t, Topic(name))
	text := fmt.Sprintf(`id: %[1]s
version: 1
ministry: moh
stream: %[1]s
title: {en: Test, fr: Essai}
purpose: {en: Test, fr: Essai}
basis: {kind: statute, reference: "Illustration only"}
population: all
shares: [{event: language-changed, fields: [language]}]
`, name)
	agreement, err := schemas.ParseAgreement("test.yaml", []byte(text), j.Registry())
	require.NoError(t, err)
	as := func() command.Command {
		return command.Command{ID: uuid.NewString(), Scope: "test", Actor: journal.Actor{Kind: journal.ActorSource, ID: "test"}, Issuer: journal.IssuerImport}
	}
	_, err = commands.LoadAgreements(ctx, command.Command{Actor: journal.Actor{Kind: journal.ActorOperator}}, []consent.Agreement{agreement})
	require.NoError(t, err)
	ids, err := j.Register(ctx, "test", "somebody")
	require.NoError(t, err)
	tell := func(eventType string, data map[string]any) {
		normalised, canonical, problems := j.Registry().Validate(eventType, data)
		require.Empty(t, problems)
		_, err := commands.Tell(ctx, as(), ids[0], command.Change{Type: eventType, Effective: "2026-01-05", Data: normalised, Canonical: canonical})
		require.NoError(t, err)
	}
	tell("person-registered", map[string]any{"given_names": "Invented", "family_name": "Person", "birth_date": "1980-05-17", "language": "en"})
	for i := range numbers {
		tell("language-changed", map[string]any{"language": []string{"fr", "en"}[i%2]})
	}
	page, err := a.delivery.Next(ctx, name, 0, 0, numbers, 0)
	require.NoError(t, err)
	require.Len(t, page.Messages, numbers)
	a.stream, err = a.delivery.Stream(ctx, name)
	require.NoError(t, err)
	require.NoError(t, a.client.EnsureTopic(deadline(t), ReceiptsTopic(name), partitions))
	a.publisher = newPublisher(t, a.client, partitions)
	return a
}

// says publishes receipts as the ministry's client does, without a partition of its choice.
func (a *answered) says(payload string, key int) {
	a.Helper()
	m := message.NewMessage(uuid.NewString(), []byte(payload))
	m.Metadata.Set(MetadataKey, strconv.Itoa(key))
	require.NoError(a, a.publisher.Publish(ReceiptsTopic(a.stream.Stream), m))
}

func appliedReceipt(from, to int64) string {
	return fmt.Sprintf(`[{"from":"1.0.%d","to":"1.0.%d","status":"applied"}]`, from, to)
}

// process records receipts until the test, or stop, ends it.
func (a *answered) process(record func(context.Context, journal.Actor, journal.CommandID, string, []delivery.Receipt) error) (r *Receipts, stop func()) {
	a.Helper()
	r, err := NewReceipts(ReceiptsConfig{
		Client: a.client, Record: record, Logger: slog.New(slog.NewTextHandler(a.logs, nil)), FirstRetry: 5 * time.Millisecond,
	})
	require.NoError(a, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx, a.stream)
	}()
	stop = func() { cancel(); <-done }
	a.Cleanup(stop)
	return r, stop
}

func (a *answered) lag() delivery.Lag {
	lags, err := a.delivery.Lag(context.Background(), a.stream.Stream)
	require.NoError(a, err)
	return lags[0]
}

func (a *answered) eventually(condition func() bool, what string) {
	a.Helper()
	require.Eventually(a, condition, time.Minute, 10*time.Millisecond, what)
}

// recorded counts the receipts on the log.
func (a *answered) recorded() (n int) {
	recs, err := a.journal.Store().ReadAll(context.Background(), 0, 100_000)
	require.NoError(a, err)
	for i := range recs {
		if recs[i].Type == journal.TypeReceiptsRecorded {
			n++
		}
	}
	return n
}

// TestReceiptsByKafka come onto the log; what can never be recorded is set aside without a word of what it says, and holds nothing back.
func TestReceiptsByKafka(t *testing.T) {
	t.Parallel()
	a := setupAnswered(t, 12, 1)
	r, stop := a.process(a.delivery.Record)
	wrong := []string{
		"", "{}", "[", "Canary", `[1]`, `[{"from":"1.0.1","to":"1.0.1","status":"applied","Canary":"x"}]`, `[{"from":1,"to":"1.0.1","status":"applied"}]`,
		`[{"from":"1.0.1","from":"1.0.1","to":"1.0.1","status":"applied"}]`, `[]}, {"list":[]`, // no list of receipts
		appliedReceipt(1, 13), `[{"from":"2.0.1","to":"2.0.1","status":"applied"}]`, `[{"from":"1.7.1","to":"1.7.1","status":"applied"}]`, // never given out
		`[{"from":"1.0.1","to":"1.0.1","status":"Canary"}]`, `[{"from":"1.0.1","to":"1.0.1","status":"applied","reason":"Canary"}]`,
	}
	for i, payload := range wrong {
		a.says(payload, i)
	}
	a.says(`[{"from":"1.0.1","to":"1.0.9","status":"received"},{"from":"1.0.1","to":"1.0.9","status":"applied"}]`, 1)
	a.says(`[{"from":"1.0.10","to":"1.0.10","status":"rejected","reason":"Unknown client, says Canary"}]`, 1)
	a.says(appliedReceipt(1, 9), 1)
	a.says(appliedReceipt(11, 12), 1)
	a.eventually(func() bool { return a.lag().Settled == 12 }, "all are recorded")
	require.Equal(t, []int64{11, 1}, []int64{a.lag().Applied, a.lag().Rejected})
	require.Equal(t, 4, a.recorded())
	a.eventually(func() bool { return testutil.ToFloat64(r.results.WithLabelValues(a.stream.Stream, "recorded")) == 4 }, "counted")
	require.InDelta(t, len(wrong), testutil.ToFloat64(r.results.WithLabelValues(a.stream.Stream, "aside")), 0)
	stop()
	require.NotContains(t, a.logs.String(), "Canary")
	require.Contains(t, a.logs.String(), "receipt 0: to: was never given out")
	require.Equal(t, len(wrong), strings.Count(a.logs.String(), "offset="))

	a.process(a.delivery.Record) // another process goes on behind, and not from the beginning
	a.says(`[{"from":"1.0.12","to":"1.0.12","status":"rejected"}]`, 1)
	a.eventually(func() bool { return a.lag().Rejected == 2 }, "another process goes on")
	require.Equal(t, len(wrong), strings.Count(a.logs.String(), "offset="))
}

// TestReceiptsAreAcknowledgedOnceTheLogHasThem: while the log is away they are tried again, and a process that stops then leaves them to the next.
func TestReceiptsAreAcknowledgedOnceTheLogHasThem(t *testing.T) {
	t.Parallel()
	a := setupAnswered(t, 3, 1)
	away := errors.New("the log is away")
	var tries atomic.Int64
	_, stop := a.process(func(context.Context, journal.Actor, journal.CommandID, string, []delivery.Receipt) error {
		tries.Add(1)
		return away
	})
	a.says(appliedReceipt(1, 2), 1)
	a.eventually(func() bool { return tries.Load() > 8 }, "tried again and again")
	stop()
	require.Zero(t, a.lag().Applied)

	// It dies after the log has them, and before they are acknowledged: they come again, and say nothing new.
	failed := make(chan struct{}, 100)
	_, stop = a.process(func(ctx context.Context, actor journal.Actor, id journal.CommandID, stream string, receipts []delivery.Receipt) error {
		require.NoError(t, a.delivery.Record(ctx, actor, id, stream, receipts))
		select {
		case failed <- struct{}{}:
		default:
		}
		return away
	})
	<-failed
	stop()
	require.Equal(t, 1, a.recorded())
	a.process(a.delivery.Record)
	a.says(appliedReceipt(3, 3), 1)
	a.eventually(func() bool { return a.lag().Settled == 3 }, "the next process goes on")
	require.Equal(t, 2, a.recorded(), "once each")
}

// TestReceiptsThroughRebalances: processes come and go while receipts arrive on several partitions; each is on the log once.
func TestReceiptsThroughRebalances(t *testing.T) {
	t.Parallel()
	const numbers = 60
	a := setupAnswered(t, numbers, 4)
	a.process(a.delivery.Record)
	for n := int64(1); n <= numbers; n += 2 {
		if n%20 == 1 {
			_, stop := a.process(a.delivery.Record)
			defer stop()
			if n > 20 {
				stop()
			}
		}
		a.says(appliedReceipt(n, n), int(n))
	}
	a.eventually(func() bool { return a.lag().Applied == numbers/2 }, "all are recorded")
	require.Equal(t, numbers/2, a.recorded())
	require.NotContains(t, a.logs.String(), "level=ERROR")
}
