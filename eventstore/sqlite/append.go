package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/ncruces/go-sqlite3"

	"github.com/tellonce/hub/eventstore"
)

// Append is eventstore.Log's.
func (s *Store) Append(ctx context.Context, appends ...eventstore.Append) ([]eventstore.Result, error) {
	return s.committer.Append(ctx, appends...)
}

// driver is the store as the Committer sees it. There is no round trip to save, so it doesn't write without asking.
type driver struct{ *Store }

var _ eventstore.Driver = driver{}

// errNothingLeft rolls back a batch that no member is left in.
var errNothingLeft = errors.New("sqlite: nothing left to write")

// Checked asks, builds and writes under SQLite's write lock: nobody can append between the answer and the commit.
//
// If the process dies before COMMIT has returned, the next one to open the file finds the whole batch or nothing of it: a batch whose
// last frame in the WAL is incomplete is not there.
func (d driver) Checked(ctx context.Context, ask *eventstore.Ask, build func(*eventstore.Answer) *eventstore.Batch) error {
	err := d.write(ctx, true, func(c *conn) error {
		answer, err := c.answer(ask)
		if err != nil {
			return err
		}
		batch := build(answer)
		if batch == nil {
			return errNothingLeft
		}
		return c.insert(batch)
	})
	var failed *commitError
	switch {
	case errors.Is(err, errNothingLeft):
		return nil
	case errors.As(err, &failed) && errors.Is(err, sqlite3.IOERR):
		// The frames may be in the WAL, unsynced: a crash right now could bring them back.
		return fmt.Errorf("%w: %w", eventstore.ErrUnknownOutcome, err)
	}
	return err
}

const (
	sqlHead     = `SELECT position, recorded_at FROM log ORDER BY position DESC LIMIT 1`
	sqlIdentity = `SELECT log_id, generation FROM meta ORDER BY generation DESC LIMIT 1`
	sqlVersion  = `SELECT first_version + count - 1 FROM chunks WHERE category = ? AND aggregate = ? ORDER BY first_version DESC LIMIT 1`
	sqlCommand  = `SELECT body, position, count FROM commands WHERE key = ?`
	sqlTime     = `SELECT recorded_at FROM log WHERE position = ?`
	sqlLatest   = `SELECT position FROM restricting WHERE subject = ? ORDER BY position DESC LIMIT 1`

	sqlInsertRecord = `INSERT INTO log (position, recorded_at, key_ref, cause, version, category, schema, issuer, actor_kind, channel,
		class, aggregate, event_id, subject, type, commitment, leaf, payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	sqlInsertChunk       = `INSERT INTO chunks (category, aggregate, first_version, count, position) VALUES (?, ?, ?, ?, ?)`
	sqlInsertCommand     = `INSERT INTO commands (key, body, position, count) VALUES (?, ?, ?, ?)`
	sqlInsertRestricting = `INSERT INTO restricting (subject, position) VALUES (?, ?)`
	sqlInsertIdentity    = `INSERT INTO meta (generation, log_id) VALUES (?, ?)`
	sqlSetRow            = `INSERT INTO views (view, key, value) VALUES (?, ?, ?) ON CONFLICT (view, key) DO UPDATE SET value = excluded.value`
	sqlDeleteRow         = `DELETE FROM views WHERE view = ? AND key = ?`
)

// answer answers ask within the caller's transaction.
func (c *conn) answer(ask *eventstore.Ask) (*eventstore.Answer, error) {
	a := &eventstore.Answer{
		Versions:   make([]int32, len(ask.Aggregates)),
		Commands:   make([]eventstore.KnownCommand, len(ask.Commands)),
		Restricted: make([]int64, len(ask.Subjects)),
	}
	var err error
	if a.Head, err = c.head(); err != nil {
		return nil, err
	}
	if a.Identity, err = c.identity(); err != nil {
		return nil, err
	}
	for i := range ask.Aggregates {
		g := &ask.Aggregates[i]
		err := c.query(sqlVersion, func(s *sqlite3.Stmt) error {
			a.Versions[i] = int32(s.ColumnInt64(0)) // #nosec G115 -- written as int32
			return nil
		}, int64(g.Category), g.ID[:])
		if err != nil {
			return nil, err
		}
	}
	for i := range ask.Commands {
		if a.Commands[i], err = c.command(ask.Commands[i]); err != nil {
			return nil, err
		}
	}
	for i := range ask.Subjects {
		a.Restricted[i] = -1
		err := c.query(sqlLatest, func(s *sqlite3.Stmt) error { a.Restricted[i] = s.ColumnInt64(0); return nil }, ask.Subjects[i][:])
		if err != nil {
			return nil, err
		}
	}
	return a, nil
}

// head is the log's last record; Position -1 if there is none.
func (c *conn) head() (eventstore.Head, error) {
	head := eventstore.Head{Position: -1}
	err := c.query(sqlHead, func(s *sqlite3.Stmt) error {
		head = eventstore.Head{Position: s.ColumnInt64(0), RecordedAt: time.UnixMicro(s.ColumnInt64(1)).UTC()}
		return nil
	})
	return head, err
}

// identity is the log's; zero if there is no log yet.
func (c *conn) identity() (id eventstore.Identity, err error) {
	err = c.query(sqlIdentity, func(s *sqlite3.Stmt) error {
		copy(id.LogID[:], s.ColumnRawBlob(0))
		id.Generation = s.ColumnInt64(1)
		return nil
	})
	return id, err
}

// command is what is known of a command.
func (c *conn) command(key eventstore.CommandKey) (known eventstore.KnownCommand, err error) {
	err = c.query(sqlCommand, func(s *sqlite3.Stmt) error {
		known.Known = true
		copy(known.Body[:], s.ColumnRawBlob(0))
		known.Position, known.Count = s.ColumnInt64(1), s.ColumnInt(2)
		return nil
	}, key[:])
	if err != nil || !known.Known {
		return known, err
	}
	err = c.query(sqlTime, func(s *sqlite3.Stmt) error {
		known.RecordedAt = time.UnixMicro(s.ColumnInt64(0)).UTC()
		return nil
	}, known.Position)
	return known, err
}

// insert writes batch within the caller's transaction.
func (c *conn) insert(batch *eventstore.Batch) error {
	if id := batch.Identity; id != nil {
		if err := c.exec(sqlInsertIdentity, id.Generation, id.LogID[:]); err != nil {
			return err
		}
	}
	for i := range batch.Records {
		if err := c.insertRecord(&batch.Records[i]); err != nil {
			return err
		}
	}
	for i := range batch.Chunks {
		k := &batch.Chunks[i]
		err := c.exec(sqlInsertChunk, int64(k.Aggregate.Category), k.Aggregate.ID[:], int64(k.First), int64(k.Count), k.Position)
		if err != nil {
			return err
		}
	}
	for i := range batch.Commands {
		k := &batch.Commands[i]
		if err := c.exec(sqlInsertCommand, k.Key[:], k.Body[:], k.Position, int64(k.Count)); err != nil {
			return err
		}
	}
	for i := range batch.Restricting {
		if err := c.exec(sqlInsertRestricting, batch.Restricting[i].Subject[:], batch.Restricting[i].Position); err != nil {
			return err
		}
	}
	return c.setRows(batch.Rows)
}

func (c *conn) insertRecord(r *eventstore.Recorded) error {
	s, err := c.stmt(sqlInsertRecord)
	if err != nil {
		return err
	}
	for i, v := range [...]int64{
		r.Position, r.RecordedAt.UnixMicro(), r.KeyRef, r.Cause, int64(r.Version), int64(r.Aggregate.Category), int64(r.Schema),
		int64(r.Issuer), int64(r.ActorKind), int64(r.Channel), int64(r.Class),
	} {
		if err := s.BindInt64(i+1, v); err != nil {
			return err
		}
	}
	err = errors.Join(
		s.BindBlob(12, r.Aggregate.ID[:]), s.BindBlob(13, r.ID[:]), s.BindBlob(14, r.Subject[:]), s.BindText(15, r.Type),
		s.BindBlob(16, r.Commitment[:]), s.BindBlob(17, r.Leaf[:]), bindBytes(s, 18, r.Payload))
	if r.Cause == eventstore.NoCause {
		err = errors.Join(err, s.BindNull(4))
	}
	if r.Subject == uuid.Nil {
		err = errors.Join(err, s.BindNull(14))
	}
	if err != nil {
		return err
	}
	return s.Exec()
}

func (c *conn) setRows(rows []eventstore.Row) error {
	for i := range rows {
		r := &rows[i]
		var err error
		if r.Value == nil {
			err = c.exec(sqlDeleteRow, r.View, r.Key)
		} else {
			err = c.exec(sqlSetRow, r.View, r.Key, r.Value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
