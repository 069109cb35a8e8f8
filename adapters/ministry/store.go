package ministry

import (
	"context"
	"errors"
	"slices"
)

// Progress is how far a lane is. The zero Progress is a lane of which nothing has come.
type Progress struct {
	Generation int   `json:"generation"`
	Last       int64 `json:"last"`     // number of the last event that was dealt with
	Answered   int64 `json:"answered"` // up to this number the hub has its receipts
	// Rejected are those of the numbers after Answered that were rejected, in order. All others were applied.
	Rejected []RejectedNumber `json:"rejected,omitempty"`
}

// RejectedNumber is a number whose receipt is still to be sent.
type RejectedNumber struct {
	Number int64  `json:"number"`
	Reason string `json:"reason,omitempty"`
}

// Equal says whether two are the same.
func (p Progress) Equal(o Progress) bool {
	return p.Generation == o.Generation && p.Last == o.Last && p.Answered == o.Answered && slices.Equal(p.Rejected, o.Rejected)
}

// cursor is the last event's.
func (p Progress) cursor(lane int) Cursor {
	return Cursor{Generation: p.Generation, Lane: lane, Number: p.Last}
}

// Store keeps the progress of lanes, together with the state that it led to.
type Store interface {
	// Load returns a lane's progress; the zero Progress for one that was never saved.
	Load(ctx context.Context, stream string, lane int) (Progress, error)
	// Save puts after in the place of before and runs work, both or neither: if work returns an error, nothing of it stays, and Save returns
	// that error. It MUST NOT return nil before both are durable. The context that work gets carries the transaction; work is nil where there
	// is nothing to do. If what is stored is not before, Save does nothing and returns ErrMoved.
	Save(ctx context.Context, stream string, lane int, before, after Progress, work func(context.Context) error) error
}

// ErrMoved is a Store's answer when another process has moved a lane on meanwhile.
var ErrMoved = errors.New("ministry: another process has moved this lane on")
