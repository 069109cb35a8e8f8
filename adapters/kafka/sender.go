package kafka

import (
	"context"
	"encoding/binary"
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
	topic := Topic(stream)
	state := &viewState{views: views, view: fmt.Sprintf("kafka/%s/%d", topic, lane)}
	return &Sender{client: c, lane: c.Lane(topic, lane, state), state: state, topic: topic, lanes: lanes}
}

// TakeOver makes the topic if it is missing, a partition per lane, fences earlier senders off, and returns the last cursor that was sent:
// the topic's last one, or the saved one where it is later, for a topic's records expire.
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
	return later(s.state.cursor, tail.Cursor), nil
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
	}
	if err := s.lane.Send(ctx, batch); err != nil {
		return fatal(err)
	}
	return s.state.advance(ctx, messages[len(messages)-1].Cursor.String())
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

// viewState keeps a lane's State as a view's one row. The view's checkpoint counts its changes, so that of two holders one is refused.
type viewState struct {
	views   eventstore.Views
	view    string
	changes int64
	state   State
	claimed bool   // the partition was found empty by this log's first sender
	cursor  string // of the last message acknowledged; "" if none
}

var _ StateStore = (*viewState)(nil)

// stateBytes is a stored row: producer id, epoch, claimed. The cursor follows.
const stateBytes = 11

// Load reads the state.
func (s *viewState) Load(ctx context.Context) (State, bool, error) {
	changes, err := s.views.Checkpoint(ctx, s.view)
	if err != nil {
		return State{}, false, err
	}
	values, err := s.views.Get(ctx, s.view, []byte("producer"))
	if err != nil {
		return State{}, false, err
	}
	s.changes, s.state, s.claimed, s.cursor = changes, State{}, false, ""
	if len(values[0]) < stateBytes {
		return State{}, false, nil
	}
	s.state = State{
		ProducerID: int64(binary.BigEndian.Uint64(values[0])),     // #nosec G115 -- the bits that write put there
		Epoch:      int16(binary.BigEndian.Uint16(values[0][8:])), // #nosec G115
	}
	s.claimed, s.cursor = values[0][10] == 1, string(values[0][stateBytes:])
	return s.state, true, nil
}

// Save writes the state, unless someone else did since Load.
func (s *viewState) Save(ctx context.Context, next State) error {
	s.state = next
	return s.write(ctx)
}

// claim notes that the partition is this log's. If the process dies before, nothing was sent yet, and the next one looks again.
func (s *viewState) claim(ctx context.Context) error {
	if s.claimed {
		return nil
	}
	s.claimed = true
	return s.write(ctx)
}

// advance notes that all up to cursor is acknowledged.
func (s *viewState) advance(ctx context.Context, cursor string) error {
	s.cursor = cursor
	return s.write(ctx)
}

func (s *viewState) write(ctx context.Context) error {
	value := binary.BigEndian.AppendUint64(nil, uint64(s.state.ProducerID)) // #nosec G115 -- the bits
	value = binary.BigEndian.AppendUint16(value, uint16(s.state.Epoch))     // #nosec G115
	value = append(value, 0)
	if s.claimed {
		value[10] = 1
	}
	value = append(value, s.cursor...)
	row := eventstore.Row{View: s.view, Key: []byte("producer"), Value: value}
	if err := s.views.Commit(ctx, s.view, s.changes, s.changes+1, []eventstore.Row{row}); err != nil {
		return err
	}
	s.changes++
	return nil
}
