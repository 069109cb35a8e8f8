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
func Topic(stream string) string { return "tellonce." + stream }

// NewSender returns the sender of one lane of a stream that has so many lanes. Producer id and epoch are kept in the views.
func (c *Client) NewSender(views eventstore.Views, stream string, lane, lanes int) *Sender {
	topic := Topic(stream)
	state := &viewState{views: views, view: fmt.Sprintf("kafka/%s/%d", topic, lane)}
	return &Sender{client: c, lane: c.Lane(topic, lane, state), state: state, topic: topic, lanes: lanes}
}

// TakeOver makes the topic if it is missing, a partition per lane, fences earlier senders off, and returns the last cursor there.
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
	return tail.Cursor, s.state.claim(ctx)
}

// errForeign refuses a topic with events of another log: their cursors look like ours, and ours would be taken for sent. A lane claims
// its partition, empty, before it sends: what holds events and isn't claimed is somebody else's.
var errForeign = errors.New("kafka: the topic holds another log's events; delete it, or use another cluster for this log")

// Send returns nil only when the broker has acknowledged every message.
func (s *Sender) Send(ctx context.Context, messages []delivery.Message) error {
	batch := make([]Message, len(messages))
	for i := range messages {
		batch[i] = binaryMode(&messages[i])
	}
	return fatal(s.lane.Send(ctx, batch))
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
	claimed bool // the partition was found empty by this log's first sender
}

var _ StateStore = (*viewState)(nil)

// stateBytes is a stored row: producer id, epoch, claimed.
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
	s.changes, s.state, s.claimed = changes, State{}, false
	if len(values[0]) != stateBytes {
		return State{}, false, nil
	}
	s.state = State{
		ProducerID: int64(binary.BigEndian.Uint64(values[0])),
		Epoch:      int16(binary.BigEndian.Uint16(values[0][8:])),
	}
	s.claimed = values[0][10] == 1
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

func (s *viewState) write(ctx context.Context) error {
	value := binary.BigEndian.AppendUint64(nil, uint64(s.state.ProducerID))
	value = binary.BigEndian.AppendUint16(value, uint16(s.state.Epoch))
	value = append(value, 0)
	if s.claimed {
		value[10] = 1
	}
	row := eventstore.Row{View: s.view, Key: []byte("producer"), Value: value}
	if err := s.views.Commit(ctx, s.view, s.changes, s.changes+1, []eventstore.Row{row}); err != nil {
		return err
	}
	s.changes++
	return nil
}
