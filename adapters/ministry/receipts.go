package ministry

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// The statuses of a receipt.
const (
	StatusReceived = "received"
	StatusApplied  = "applied"
	StatusRejected = "rejected"
)

// Receipt is an answer for a range of one lane's events, ends included.
type Receipt struct {
	From   Cursor `json:"from"`
	To     Cursor `json:"to"`
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"` // of a rejection, at most 500 characters
}

// Receipts takes a ministry's answers.
type Receipts interface {
	// Send returns nil once the hub has the receipts, or a broker keeps them for it. The same key is sent again with the same receipts.
	Send(ctx context.Context, stream, key string, receipts []Receipt) error
}

// NoReceipts answers nothing.
var NoReceipts Receipts = noReceipts{}

type noReceipts struct{}

func (noReceipts) Send(context.Context, string, string, []Receipt) error { return nil }

// PublishReceipts sends receipts to the topic tellonce.<stream>.receipts, with a Watermill publisher of the caller's.
func PublishReceipts(publisher message.Publisher) Receipts { return published{publisher} }

type published struct{ publisher message.Publisher }

func (p published) Send(ctx context.Context, stream, key string, receipts []Receipt) error {
	text, err := json.Marshal(receipts)
	if err != nil {
		return fmt.Errorf("ministry: encode receipts: %w", err)
	}
	m := message.NewMessage(key, text)
	m.SetContext(ctx)
	m.Metadata.Set("content-type", "application/json")
	if err := p.publisher.Publish(topicPrefix+stream+".receipts", m); err != nil {
		return fmt.Errorf("ministry: publish receipts: %w", err)
	}
	return nil
}

const (
	maxReceipts = 500  // of one request
	maxReasons  = 1000 // events that one receipt may reject with a reason
	lastWords   = 5 * time.Second
)

// receiptsOf are the receipts that are due after what was answered, as few as there can be.
func receiptsOf(lane int, p Progress) []Receipt {
	var out []Receipt
	add := func(from, to int64, status, reason string) {
		if from > to {
			return
		}
		if n := len(out); n > 0 && status == StatusRejected && out[n-1].Status == status && out[n-1].Reason == reason &&
			from-out[n-1].From.Number < maxReasons {
			out[n-1].To.Number = to
			return
		}
		cursor := func(number int64) Cursor { return Cursor{Generation: p.Generation, Lane: lane, Number: number} }
		out = append(out, Receipt{From: cursor(from), To: cursor(to), Status: status, Reason: reason})
	}
	next := p.Answered + 1
	for _, r := range p.Rejected {
		add(next, r.Number-1, StatusApplied, "")
		add(r.Number, r.Number, StatusRejected, r.Reason)
		next = r.Number + 1
	}
	add(next, p.Last, StatusApplied, "")
	return out
}

// answerSoon lets the next receipts be sent.
func (c *Consumer) answerSoon() {
	select {
	case c.pending <- struct{}{}:
	default:
	}
}

// answer sends receipts until ctx ends, and then once more.
func (c *Consumer) answer(ctx context.Context) {
	for tries := 0; ctx.Err() == nil; {
		select {
		case <-c.pending:
		case <-ctx.Done():
			continue
		}
		select {
		case <-time.After(c.config.ReceiptPause): // gathers
		case <-ctx.Done():
			continue
		}
		if err := c.flush(ctx); err != nil && ctx.Err() == nil {
			tries++
			c.config.Logger.WarnContext(ctx, "receipts could not be sent; they are kept and tried again", "tries", tries, "error", err)
			_ = c.pause(ctx, tries, waitOf(err))
			c.answerSoon()
			continue
		}
		tries = 0
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	if err := c.flush(ctx); err != nil {
		c.config.Logger.WarnContext(ctx, "the last receipts could not be sent; they are sent after the next start", "error", err)
	}
}

// flush answers for all lanes.
func (c *Consumer) flush(ctx context.Context) error {
	for _, l := range c.known() {
		if err := l.flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

// flush sends what is due of one lane. The lane goes on meanwhile. If the process dies between the hub's answer and the save, the same events
// are answered once more, which changes nothing.
func (l *lane) flush(ctx context.Context) error {
	if err := l.lock(ctx); err != nil {
		return err
	}
	err := l.load(ctx)
	sent := l.progress
	l.unlock()
	if err != nil || sent.Answered >= sent.Last {
		return err
	}
	config := &l.consumer.config
	receipts := receiptsOf(l.number, sent)
	for len(receipts) > 0 {
		n := min(len(receipts), maxReceipts)
		if err := config.Receipts.Send(ctx, config.Stream, keyOf(config.Stream, receipts[:n]), receipts[:n]); err != nil {
			return err
		}
		receipts = receipts[n:]
	}
	if err := l.lock(ctx); err != nil {
		return err
	}
	defer l.unlock()
	if err := l.load(ctx); err != nil || l.progress.Generation != sent.Generation || l.progress.Answered >= sent.Last {
		return err
	}
	after := l.progress
	after.Answered, after.Rejected = sent.Last, nil
	for _, r := range l.progress.Rejected {
		if r.Number > sent.Last {
			after.Rejected = append(after.Rejected, r)
		}
	}
	return l.save(ctx, after, nil)
}

// keyOf is the idempotency key of receipts: a UUID by what they say, so that a repeat after a crash is known for one.
func keyOf(stream string, receipts []Receipt) string {
	hash := sha256.New()
	_, _ = fmt.Fprintf(hash, "tellonce receipts\n%s\n", stream)
	for _, r := range receipts {
		_, _ = fmt.Fprintf(hash, "%s %s %s %q\n", r.From, r.To, r.Status, r.Reason)
	}
	u := hash.Sum(nil)[:16]
	u[6], u[8] = u[6]&0x0f|0x80, u[8]&0x3f|0x80 // version 8, variant 1 of RFC 9562
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}
