package journal

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/seal"
)

// Note is a text that a view keeps at a place of its own, which perhaps says something about a citizen.
type Note struct {
	Place   string     // where it stands: closed for one place, it opens at no other
	Subject citizen.ID // zero: it is about nobody
	Text    string
}

// noteType stands in the place of an event's type where a note is sealed.
const noteType = "note"

func (n *Note) event() eventstore.Event {
	return eventstore.Event{
		ID: uuid.NewHash(sha256.New(), uuid.Nil, []byte(n.Place), 8), Type: noteType, Schema: 1, Class: eventstore.Facts, Subject: uuid.UUID(n.Subject),
	}
}

// SealNote closes a note under the key of what its citizen told, so that their erasure makes it unreadable: subject, commitment, sealed text.
// seal.ErrDestroyed if they are erased.
func (j *Journal) SealNote(ctx context.Context, n Note) ([]byte, error) {
	e := n.event()
	if err := j.keyring.Seal(ctx, &e, seal.Plaintext(n.Text)); err != nil {
		return nil, fmt.Errorf("journal: seal a note: %w", err)
	}
	return append(append(n.Subject[:], e.Commitment[:]...), e.Payload...), nil
}

// OpenNotes opens what SealNote closed, each at its place, with the keys fetched at once. The text is empty where nothing stands, and where the
// citizen is erased.
func (j *Journal) OpenNotes(ctx context.Context, places []string, sealed [][]byte) ([]string, error) {
	out := make([]string, len(sealed))
	var recs []eventstore.Recorded
	var at []int
	for i, value := range sealed {
		n := Note{Place: places[i]}
		if len(value) < len(n.Subject)+sha256.Size {
			continue
		}
		r := eventstore.Recorded{}
		value = value[copy(n.Subject[:], value):]
		r.Event = n.event()
		r.Payload = value[copy(r.Commitment[:], value):]
		recs, at = append(recs, r), append(at, i)
	}
	plains, err := j.keyring.OpenAll(ctx, recs)
	var partial *seal.PartialError
	if err != nil && !errors.As(err, &partial) {
		return nil, err
	}
	for i := range plains {
		if partial != nil && partial.Errs[i] != nil && !errors.Is(partial.Errs[i], seal.ErrDestroyed) {
			return nil, fmt.Errorf("journal: open a note: %w", partial.Errs[i])
		}
		out[at[i]] = string(plains[i])
	}
	return out, nil
}
