package eventstore

import (
	"context"
	"time"
)

// CommitterConfig is what a Committer needs beside its Driver. Zero values are good.
type CommitterConfig struct {
	Clock        func() time.Time // default time.Now
	MaxRecords   int              // a batch is closed at this many records; default 1,024. A call with more is a batch of its own
	MaxBytes     int              // … or this many bytes of payload; default 4 MiB
	BatchTimeout time.Duration    // how long a batch may take in the store; default 30 s
	// Committed is called after each commit with the new head, before the callers are answered (it wakes followers). It must not block.
	Committed func(Head)
}

// Committer coalesces concurrent appends into one transaction at a time (group commit). See Log for the semantics.
type Committer struct{}

// NewCommitter starts a committer on driver. Close ends it.
func NewCommitter(driver Driver, config CommitterConfig) *Committer { return &Committer{} }

// Append is Log.Append.
func (c *Committer) Append(ctx context.Context, appends ...Append) ([]Result, error) {
	return nil, ErrClosed
}

// Close refuses new appends with ErrClosed, commits what is queued and returns when the committer has stopped.
func (c *Committer) Close() {}
