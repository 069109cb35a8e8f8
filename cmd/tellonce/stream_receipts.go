package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tellonce/hub/adapters/kafka"
	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
)

func (c *cli) streamReceipts() *cobra.Command {
	var send []string
	var reason string
	cmd := &cobra.Command{
		Use:   "receipts STREAM",
		Short: "Show what a ministry answered, lane by lane, and how far behind it is; --send answers in its place",
		Long: "Show what a ministry answered, lane by lane, and how far behind it is.\n\n" +
			"--send FROM..TO=STATUS answers in its place, as POST /v1/streams/{stream}/receipts does: FROM and TO are cursors, ends included, STATUS is\n" +
			"received, applied or rejected; CURSOR=STATUS is one event. All of them are recorded, or none.",
		Args: exactly(1, "a stream's name; `tellonce stream list` shows them"),
		RunE: func(cmd *cobra.Command, args []string) error {
			receipts, err := parseReceipts(send, reason)
			if err != nil {
				return usageError{err}
			}
			h, err := openHub(cmd.Context(), &c.config, c.logger())
			if err != nil {
				return err
			}
			defer h.Close()
			if len(receipts) > 0 {
				if err := h.answer(cmd.Context(), args[0], receipts); err != nil {
					return explainRead(err)
				}
			}
			lags, err := h.delivery.Lag(cmd.Context(), args[0])
			if err != nil {
				return explainRead(err)
			}
			return c.showLags(lags, h.delivery.LagTime())
		},
	}
	cmd.Flags().StringArrayVar(&send, "send", nil, "answer for the ministry: FROM..TO=STATUS or CURSOR=STATUS; may be repeated")
	cmd.Flags().StringVar(&reason, "reason", "", "why, for what --send rejects")
	return cmd
}

// parseReceipts reads --send and --reason; what they may say is delivery's to judge.
func parseReceipts(send []string, reason string) ([]delivery.Receipt, error) {
	out := make([]delivery.Receipt, len(send))
	for i, text := range send {
		cursors, status, ok := strings.Cut(text, "=")
		if !ok {
			return nil, fmt.Errorf("--send %s: write FROM..TO=STATUS, such as 1.0.1..1.0.42=applied", text)
		}
		from, to, ok := strings.Cut(cursors, "..")
		if !ok {
			to = from
		}
		out[i] = delivery.Receipt{From: from, To: to, Status: status}
		if status == delivery.StatusRejected {
			out[i].Reason = reason
		}
	}
	if reason != "" && (len(out) == 0 || out[0].Reason == "" && len(out) == 1) {
		return nil, errors.New("--reason belongs to what --send rejects")
	}
	return out, nil
}

// answer records receipts as the operator. What was recorded already is recorded once, so the command needs no id.
func (h *hub) answer(ctx context.Context, stream string, receipts []delivery.Receipt) error {
	return h.delivery.Record(ctx, terminalActor, journal.CommandID{}, stream, receipts)
}

// lagLine is one lane for machines.
type lagLine struct {
	Stream              string  `json:"stream"`
	Ministry            string  `json:"ministry"`
	Lane                int     `json:"lane"`
	Last                int64   `json:"last"`
	Due                 int64   `json:"due"`
	OldestDueAge        float64 `json:"oldest_due_age"` // seconds
	Received            int64   `json:"received"`
	Applied             int64   `json:"applied"`
	Rejected            int64   `json:"rejected"`
	Unanswered          int64   `json:"unanswered"`
	Settled             int64   `json:"settled"`
	OldestUnansweredAge float64 `json:"oldest_unanswered_age"`      // seconds
	LastAnsweredAt      string  `json:"last_answered_at,omitempty"` // by applied or rejected
}

func (c *cli) showLags(lags []delivery.Lag, now time.Time) error {
	out := c.lines()
	for i := range lags {
		l := &lags[i]
		due, unanswered := delivery.AgeOf(l.DueSince, now), delivery.AgeOf(l.UnansweredSince, now)
		line := lagLine{
			Stream: l.Stream, Ministry: l.Ministry, Lane: l.Lane, Last: l.Last, Due: l.Due, OldestDueAge: due.Seconds(), Received: l.Received, Applied: l.Applied,
			Rejected: l.Rejected, Unanswered: l.Unanswered(), Settled: l.Settled, OldestUnansweredAge: unanswered.Seconds(),
		}
		if !l.SettledAt.IsZero() {
			line.LastAnsweredAt = l.SettledAt.UTC().Format(time.RFC3339)
		}
		text := fmt.Sprintf("lane %d  given %d  received %d  applied %d  rejected %d  unanswered %d%s  all answered up to %d  due %d%s",
			l.Lane, l.Last, l.Received, l.Applied, l.Rejected, l.Unanswered(), since(unanswered), l.Settled, l.Due, since(due))
		if err := out.emit(line, text); err != nil {
			return err
		}
	}
	return out.flush()
}

// since writes an age behind a count, if there is one.
func since(age time.Duration) string {
	if age == 0 {
		return ""
	}
	return " (for " + age.Truncate(time.Second).String() + ")"
}

// openLags makes what keeps an eye on how far behind the ministries are.
func (a *app) openLags() (*delivery.LagWatch, error) {
	return delivery.NewLagWatch(delivery.LagWatchConfig{
		Delivery: a.delivery, Logger: a.logger, Registerer: a.registry, StoppedAfter: a.stoppedAfter,
	})
}

// receipts reads what ministries answer by Kafka.
func (a *app) receipts(client *kafka.Client) (*kafka.Receipts, error) {
	return kafka.NewReceipts(kafka.ReceiptsConfig{Client: client, Record: a.delivery.Record, Logger: a.logger, Registerer: a.registry})
}

// answer reads a stream's receipts, if nobody of this process does yet. The caller has the lock.
func (k *kafkaLanes) answer(work context.Context, stream journal.StreamOpened) {
	if k.answers[stream.Stream] {
		return
	}
	k.answers[stream.Stream] = true
	k.group.Go(func() error { k.receipts.Run(work, stream); return nil })
}
