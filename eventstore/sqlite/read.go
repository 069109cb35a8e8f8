package sqlite

import (
	"context"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/tellonce/hub/eventstore"
)

const (
	columns = `l.position, l.recorded_at, l.key_ref, l.cause, l.version, l.category, l.schema, l.issuer, l.actor_kind, l.channel, l.class,
		l.aggregate, l.event_id, l.subject, l.type, l.commitment, l.leaf, l.payload`

	sqlReadAll = `SELECT ` + columns + ` FROM log l WHERE l.position >= ? ORDER BY l.position LIMIT ?`
	sqlRead    = `SELECT ` + columns + ` FROM log l WHERE l.position = ?`
	// From the chunk that holds the first version asked for; CROSS JOIN keeps the chunks outside. The order is the chunks' own.
	sqlReadAggregate = `SELECT ` + columns + ` FROM chunks c CROSS JOIN log l
		WHERE c.category = ?1 AND c.aggregate = ?2
			AND c.first_version >=
				coalesce((SELECT max(first_version) FROM chunks WHERE category = ?1 AND aggregate = ?2 AND first_version <= ?3), 0)
			AND l.position BETWEEN c.position AND c.position + c.count - 1 AND l.version >= ?3
		ORDER BY c.first_version, l.position LIMIT ?4`
)

// ReadAll is eventstore.Log's.
func (s *Store) ReadAll(ctx context.Context, from int64, limit int) (out []eventstore.Recorded, err error) {
	if limit <= 0 {
		return nil, s.usable(ctx)
	}
	err = s.read(ctx, func(c *conn) error {
		head, err := c.head()
		n := min(int64(limit), head.Position+1-max(from, 0)) // positions have no gap: as many records as positions
		if err != nil || n <= 0 {
			return err
		}
		d := decoder{conn: c, page: n}
		out = make([]eventstore.Recorded, 0, n)
		return c.query(sqlReadAll, d.into(&out), from, n)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Read is eventstore.Log's.
func (s *Store) Read(ctx context.Context, positions ...int64) (out []eventstore.Recorded, err error) {
	out = make([]eventstore.Recorded, 0, len(positions))
	err = s.snapshot(ctx, func(c *conn) error {
		d := decoder{conn: c}
		for i, p := range positions {
			if err := c.query(sqlRead, d.into(&out), p); err != nil {
				return err
			}
			if len(out) != i+1 {
				return eventstore.ErrNotFound
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// ReadAggregate is eventstore.Log's.
func (s *Store) ReadAggregate(ctx context.Context, a eventstore.Aggregate, from int32, limit int) (out []eventstore.Recorded, err error) {
	err = s.read(ctx, func(c *conn) error {
		out, err = c.aggregate(a, from, limit)
		return err
	})
	return out, err
}

// ReadAggregates is eventstore.Log's. There is no server to spare round trips to, so calls aren't coalesced.
func (s *Store) ReadAggregates(ctx context.Context, aggregates ...eventstore.Aggregate) ([][]eventstore.Recorded, error) {
	out := make([][]eventstore.Recorded, len(aggregates))
	read := s.snapshot
	if len(aggregates) == 1 {
		read = s.read // one statement is a snapshot
	}
	err := read(ctx, func(c *conn) (err error) {
		for i := range aggregates {
			if out[i], err = c.aggregate(aggregates[i], 1, 0); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (c *conn) aggregate(a eventstore.Aggregate, from int32, limit int) (out []eventstore.Recorded, err error) {
	if limit <= 0 {
		limit = -1 // SQLite's "no limit"
	}
	d := decoder{conn: c}
	err = c.query(sqlReadAggregate, d.into(&out), int64(a.Category), a.ID[:], int64(from), int64(limit))
	return out, err
}

// ReadCommands is eventstore.Log's.
func (s *Store) ReadCommands(ctx context.Context, commands ...eventstore.Command) ([]eventstore.Known, error) {
	out := make([]eventstore.Known, len(commands))
	err := s.snapshot(ctx, func(c *conn) error {
		for i := range commands {
			known, err := c.command(commands[i].Key)
			switch {
			case err != nil:
				return err
			case !known.Known:
			case known.Body != commands[i].Body:
				out[i].Reused = true
			default:
				out[i] = eventstore.Known{Found: true, Result: eventstore.Result{
					Position: known.Position, Count: known.Count, RecordedAt: known.RecordedAt, Repeated: true,
				}}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Head is eventstore.Log's.
func (s *Store) Head(ctx context.Context) (head eventstore.Head, err error) {
	err = s.read(ctx, func(c *conn) error {
		head, err = c.head()
		return err
	})
	return head, err
}

// Identity is eventstore.Store's.
func (s *Store) Identity(ctx context.Context) (id eventstore.Identity, err error) {
	err = s.read(ctx, func(c *conn) error {
		if id, err = c.identity(); err == nil && id == (eventstore.Identity{}) {
			return eventstore.ErrNoGenesis
		}
		return err
	})
	return id, err
}

// decoder makes records of rows. The payloads of a page share larger pieces of memory, each with its own capacity.
type decoder struct {
	conn  *conn
	page  int64 // records in the page; 0: payloads share nothing
	piece []byte
}

// pieceSize is how much memory the payloads of a page share, and usualPayload what one may need of it.
const (
	pieceSize    = 64 << 10
	usualPayload = 1 << 10
)

func (d *decoder) into(out *[]eventstore.Recorded) func(*sqlite3.Stmt) error {
	return func(s *sqlite3.Stmt) error {
		*out = append(*out, eventstore.Recorded{})
		r := &(*out)[len(*out)-1]
		r.Position, r.RecordedAt, r.KeyRef = s.ColumnInt64(0), time.UnixMicro(s.ColumnInt64(1)).UTC(), s.ColumnInt64(2)
		r.Cause = eventstore.NoCause
		if s.ColumnType(3) != sqlite3.NULL {
			r.Cause = s.ColumnInt64(3)
		}
		r.Version, r.Aggregate.Category = int32(s.ColumnInt64(4)), eventstore.Category(s.ColumnInt64(5)) // #nosec G115 -- written as int32, int16
		r.Schema, r.Issuer = int16(s.ColumnInt64(6)), int16(s.ColumnInt64(7))                            // #nosec G115 -- written as int16
		r.ActorKind, r.Channel = int16(s.ColumnInt64(8)), int16(s.ColumnInt64(9))                        // #nosec G115 -- written as int16
		r.Class = eventstore.Class(s.ColumnInt64(10))                                                    // #nosec G115 -- written as int16
		copy(r.Aggregate.ID[:], s.ColumnRawBlob(11))
		copy(r.ID[:], s.ColumnRawBlob(12))
		copy(r.Subject[:], s.ColumnRawBlob(13))
		r.Type = d.conn.intern(s.ColumnRawText(14))
		copy(r.Commitment[:], s.ColumnRawBlob(15))
		copy(r.Leaf[:], s.ColumnRawBlob(16))
		r.Payload = d.bytes(s.ColumnRawBlob(17))
		return s.Err()
	}
}

// bytes copies b, which is SQLite's until the next step.
func (d *decoder) bytes(b []byte) []byte {
	if d.page == 0 || len(b) > pieceSize/4 {
		return append([]byte(nil), b...)
	}
	if len(d.piece) < len(b) {
		d.piece = make([]byte, max(min(pieceSize, d.page*usualPayload), int64(len(b))))
	}
	n := copy(d.piece, b)
	out := d.piece[:n:n]
	d.piece = d.piece[n:]
	return out
}

// maxInterned bounds the texts that a connection keeps: event types are few, unless somebody makes them up.
const maxInterned = 1000

// intern returns the text as a string, the same one for the same text.
func (c *conn) intern(text []byte) string {
	if s, ok := c.texts[string(text)]; ok {
		return s
	}
	s := string(text)
	if len(c.texts) < maxInterned {
		c.texts[s] = s
	}
	return s
}
