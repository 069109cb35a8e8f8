package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/eventstore"
)

// Sender pushes one lane of a stream to its partition: delivery's messages as CloudEvents in binary mode.
type Sender struct {
	client *Client
	lane   *Lane
	state  *viewState
	topic  string
	lanes  int
}

var _ delivery.Sender = (*Sender)(nil)

// Topic is the topic of a stream.
func Topic(stream string) string { return hubPrefix + stream }

// What is added to a stream's topic for those beside it.
const (
	receiptsSuffix = ".receipts"
	replaySuffix   = ".replay"
)

// ReceiptsTopic is where a stream's ministry answers.
func ReceiptsTopic(stream string) string { return Topic(stream) + receiptsSuffix }

// ReplayTopic is the side topic of a stream, to which replays may go.
func ReplayTopic(stream string) string { return Topic(stream) + replaySuffix }

// NewSender returns the sender of one lane of a stream that has so many lanes. Producer id and epoch are kept in the views.
func (c *Client) NewSender(views eventstore.Views, stream string, lane, lanes int) *Sender {
	return c.newSender(views, Topic(stream), "", lane, lanes)
}

// NewSideSender returns the sender of one lane of a replay that goes to the stream's side topic, each event with the attribute "replay".
// Any number of replays may go there, one after the other in a lane: one that another has interrupted takes over and goes on where it
// was. A replay's name is letters and digits, and its numbers rise.
func (c *Client) NewSideSender(views eventstore.Views, stream, replay string, lane, lanes int) *Sender {
	return c.newSender(views, ReplayTopic(stream), replay, lane, lanes)
}

func (c *Client) newSender(views eventstore.Views, topic, replay string, lane, lanes int) *Sender {
	state := &viewState{views: views, view: fmt.Sprintf("kafka/%s/%d", topic, lane), replay: replay}
	return &Sender{client: c, lane: c.Lane(topic, lane, state), state: state, topic: topic, lanes: lanes}
}

// TakeOver makes the topic if it is missing, a partition per lane, fences earlier senders off, and returns the last cursor that was sent,
// by this replay if it is one: the topic's last one, or the saved one where it is later, for a topic's records expire.
func (s *Sender) TakeOver(ctx context.Context) (string, error) {
	if err := s.client.EnsureTopic(ctx, s.topic, s.lanes); err != nil {
		return "", fatal(err)
	}
	tail, err := s.lane.TakeOver(ctx)
	if err != nil {
		return "", fatal(err)
	}
	if !s.state.claimed && tail.Cursor != "" {
		return "", fmt.Errorf("%w: %w: %s", delivery.ErrFatal, errForeign, s.topic)
	}
	if err := s.state.claim(ctx); err != nil {
		return "", err
	}
	if tail.Replay == s.state.replay {
		return later(s.state.cursor, tail.Cursor), nil
	}
	// Another replay sent last. It may have died before it saved how far it got, and after us the topic's end won't tell.
	return s.state.cursor, s.state.sent(ctx, tail.Replay, tail.Cursor)
}

// later returns the later of two cursors. Where one is none of ours, it is the topic's, and delivery refuses it.
func later(saved, found string) string {
	a, err := delivery.ParseCursor(saved)
	if err != nil {
		return found
	}
	b, err := delivery.ParseCursor(found)
	switch {
	case found != "" && err != nil, err == nil && (b.Generation > a.Generation || b.Generation == a.Generation && b.Number > a.Number):
		return found
	default:
		return saved
	}
}

// errForeign refuses a topic with events of another log: their cursors look like ours, and ours would be taken for sent. A lane claims
// its partition, empty, before it sends: what holds events and isn't claimed is somebody else's.
var errForeign = errors.New("kafka: the topic holds another log's events; delete it, or use another cluster for this log")

// Send returns nil only when the broker has acknowledged every message and the last one's cursor is saved. If the process dies between
// the two, the topic itself tells the next sender, for as long as it keeps its records.
func (s *Sender) Send(ctx context.Context, messages []delivery.Message) error {
	if len(messages) == 0 {
		return nil
	}
	batch := make([]Message, len(messages))
	for i := range messages {
		batch[i] = binaryMode(&messages[i])
		if s.state.replay != "" {
			batch[i].Headers = append(batch[i].Headers, Header{Key: replayHeader, Value: s.state.replay})
		}
	}
	if err := s.lane.Send(ctx, batch); err != nil {
		return fatal(err)
	}
	s.state.cursor = messages[len(messages)-1].Cursor.String()
	return s.state.sent(ctx, s.state.replay, s.state.cursor)
}

// fatal marks what a person must look at: the broker refused for certain, and would again.
func fatal(err error) error {
	var refused *Refused
	if errors.As(err, &refused) || errors.Is(err, ErrPartitions) {
		return fmt.Errorf("%w: %w", delivery.ErrFatal, err)
	}
	return err
}

// binaryMode is the CloudEvents Kafka binding: attributes as ce_ headers, the data as value. A recalled event keeps its key and has an
// empty value, not a null one, which a compacted topic would take for a deletion.
func binaryMode(m *delivery.Message) Message {
	out := Message{Number: m.Cursor.Number, Key: []byte(m.Key), Value: m.Data, Headers: make([]Header, 0, len(m.Attributes))}
	if m.Key == "" {
		out.Key = []byte(m.Cursor.String())
	}
	if m.Recalled() {
		out.Value = []byte{}
	}
	for _, a := range m.Attributes {
		name := "ce_" + a.Name
		if a.Name == "datacontenttype" {
			name = "content-type"
		}
		out.Headers = append(out.Headers, Header{Key: name, Value: a.Value})
	}
	return out
}
