package kafka

import (
	"context"
	"encoding/binary"

	"github.com/tellonce/hub/eventstore"
)

// viewState keeps a lane's State as rows of a view. The view's checkpoint counts its changes, so that of two holders one is refused.
type viewState struct {
	views   eventstore.Views
	view    string
	replay  string // whose cursor this one is about; "" for the stream itself
	changes int64
	state   State
	claimed bool   // the partition was found empty by this log's first sender
	cursor  string // of the last message acknowledged; "" if none
}

var _ StateStore = (*viewState)(nil)

// stateBytes is the row "producer": producer id, epoch, claimed. A stream's cursor follows; each replay's has a row of its own.
const stateBytes = 11

func replayKey(replay string) []byte { return []byte("replay/" + replay) }

// Load reads the state.
func (s *viewState) Load(ctx context.Context) (State, bool, error) {
	changes, err := s.views.Checkpoint(ctx, s.view)
	if err != nil {
		return State{}, false, err
	}
	values, err := s.views.Get(ctx, s.view, []byte("producer"), replayKey(s.replay))
	if err != nil {
		return State{}, false, err
	}
	s.changes, s.state, s.claimed, s.cursor = changes, State{}, false, string(values[1])
	if len(values[0]) < stateBytes {
		return State{}, false, nil
	}
	s.state = State{
		ProducerID: int64(binary.BigEndian.Uint64(values[0])),     // #nosec G115 -- the bits that write put there
		Epoch:      int16(binary.BigEndian.Uint16(values[0][8:])), // #nosec G115
	}
	s.claimed = values[0][10] == 1
	if s.replay == "" {
		s.cursor = string(values[0][stateBytes:])
	}
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

// sent notes that all of a replay, or of the stream, up to cursor is acknowledged.
func (s *viewState) sent(ctx context.Context, replay, cursor string) error {
	if replay == "" {
		return s.write(ctx) // it is this one's, and stands in the row "producer"
	}
	return s.write(ctx, eventstore.Row{View: s.view, Key: replayKey(replay), Value: []byte(cursor)})
}

func (s *viewState) write(ctx context.Context, rows ...eventstore.Row) error {
	value := binary.BigEndian.AppendUint64(nil, uint64(s.state.ProducerID)) // #nosec G115 -- the bits
	value = binary.BigEndian.AppendUint16(value, uint16(s.state.Epoch))     // #nosec G115
	value = append(value, 0)
	if s.claimed {
		value[10] = 1
	}
	if s.replay == "" {
		value = append(value, s.cursor...)
	}
	rows = append(rows, eventstore.Row{View: s.view, Key: []byte("producer"), Value: value})
	if err := s.views.Commit(ctx, s.view, s.changes, s.changes+1, rows); err != nil {
		return err
	}
	s.changes++
	return nil
}
