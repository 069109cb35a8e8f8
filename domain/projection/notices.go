package projection

import (
	"context"
	"slices"
	"time"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
)

// Notice is a notice that was sent to a citizen, or to who acts for them. Where it went is not in it.
type Notice struct {
	At       time.Time
	Channel  string
	Template string
	Language string
	Outcome  string // journal.NoticeDelivered or NoticeFailed
	Receipt  string // of the change that caused it; empty where it was something else
}

// Dispute is a citizen's objection, and its answer once there is one.
type Dispute struct {
	Position int64
	OpenedAt time.Time
	Receipt  string // of the change that it is about
	Stream   string // of a disclosure
	Text     string
	ByLink   bool      // by the link in a notice
	Outcome  string    // empty: it waits
	Answer   string    // by an officer
	At       time.Time // of the answer
}

// Contacted is what passed between a citizen and the hub.
type Contacted struct {
	Frozen   time.Time // since when nothing can be told in their name; zero: it can
	Notices  []Notice  // newest first
	Disputes []Dispute // newest first
}

// Contacted says what notices a citizen was sent, what they objected to, and whether changes in their name are stopped; ErrNotFound for
// someone nobody registered.
func (p *Projection) Contacted(ctx context.Context, id citizen.ID) (*Contacted, error) {
	entries, err := p.entries(ctx, id)
	if err != nil {
		return nil, err
	}
	told, _, err := p.told(ctx, entries)
	if err != nil {
		return nil, err
	}
	receipts := make(map[int64]string, len(told))
	for i := range told {
		receipts[told[i].Position] = told[i].Receipt
	}
	out := &Contacted{}
	for i := range entries {
		out.hear(&entries[i], receipts)
	}
	slices.Reverse(out.Notices)
	slices.Reverse(out.Disputes)
	return out, nil
}

func (c *Contacted) hear(e *journal.Entry, receipts map[int64]string) {
	switch e.Type { // whatever was erased of it
	case journal.TypeFrozen:
		c.Frozen = e.RecordedAt
	case journal.TypeUnfrozen:
		c.Frozen = time.Time{}
	}
	switch event := e.Event.(type) {
	case journal.NoticeSent:
		c.Notices = append(c.Notices, Notice{
			At: e.RecordedAt, Channel: event.Channel, Template: event.Template, Language: event.Language, Outcome: event.Outcome, Receipt: receipts[event.Cause],
		})
	case journal.DisputeOpened:
		c.Disputes = append(c.Disputes, Dispute{
			Position: e.Position, OpenedAt: e.RecordedAt, Receipt: receipts[event.About], Stream: event.Stream, Text: event.Text,
			ByLink: journal.ActorKind(e.ActorKind) == journal.ActorHub,
		})
	case journal.DisputeAnswered:
		for i := range c.Disputes {
			if c.Disputes[i].Position == event.Dispute {
				c.Disputes[i].Outcome, c.Disputes[i].Answer, c.Disputes[i].At = event.Outcome, event.Text, e.RecordedAt
			}
		}
	}
}
