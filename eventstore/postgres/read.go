package postgres

import (
	"context"
	"fmt"

	"github.com/tellonce/hub/eventstore"
)

const (
	// Positions are contiguous, so a page is a range of them and needs no LIMIT.
	readAllSQL = `SELECT ` + recordColumns + ` FROM log l WHERE l.position >= $1 AND l.position < $2 ORDER BY l.position`
	readSQL    = `SELECT ` + recordColumns + `, p.n FROM unnest($1::bigint[]) WITH ORDINALITY p (position, n) JOIN log l USING (position)`
	// From the chunk that holds version $3 on.
	readAggregateSQL = `
SELECT ` + recordColumns + `
FROM chunks c JOIN log l ON l.position >= c.position AND l.position < c.position + c.count
WHERE c.category = $1 AND c.aggregate = $2 AND l.version >= $3 AND c.first_version >= coalesce((
	SELECT max(f.first_version) FROM chunks f WHERE f.category = $1 AND f.aggregate = $2 AND f.first_version <= $3), 0)
ORDER BY c.first_version, l.position LIMIT $4`
	readAggregatesSQL = `
SELECT ` + recordColumns + `, e.n
FROM unnest($1::smallint[], $2::uuid[]) WITH ORDINALITY e (category, aggregate, n)
	JOIN chunks c ON c.category = e.category AND c.aggregate = e.aggregate
	JOIN log l ON l.position >= c.position AND l.position < c.position + c.count`
	headSQL = `SELECT position, recorded_at FROM log ORDER BY position DESC LIMIT 1`
)

// ReadAll reads up to limit records from position from on; empty at the head.
func (s *Store) ReadAll(ctx context.Context, from int64, limit int) ([]eventstore.Recorded, error) {
	if limit <= 0 {
		return nil, s.check(ctx)
	}
	decoder := newDecoder(limit)
	var out []eventstore.Recorded
	_, err := s.query(ctx, "read the log", func(columns [][]byte) {
		if out == nil {
			out = make([]eventstore.Recorded, 0, min(limit, 1<<13))
		}
		out = append(out, eventstore.Recorded{})
		decoder.record(&out[len(out)-1], columns)
	}, readAllSQL, from, from+int64(limit))
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Read reads single positions, in the order asked; a position beyond the head is ErrNotFound.
func (s *Store) Read(ctx context.Context, positions ...int64) ([]eventstore.Recorded, error) {
	if len(positions) == 0 {
		return nil, s.check(ctx)
	}
	decoder := newDecoder(len(positions))
	out := make([]eventstore.Recorded, len(positions))
	found, err := s.query(ctx, "read positions", func(columns [][]byte) {
		decoder.record(&out[int8Of(columns[18])-1], columns)
	}, readSQL, positions)
	if err != nil {
		return nil, err
	}
	if found < len(positions) {
		return nil, fmt.Errorf("%w: %d of %d positions", eventstore.ErrNotFound, len(positions)-found, len(positions))
	}
	return out, nil
}

// ReadAggregate reads one aggregate from a version on (≥ 1), at most limit records (0: all).
func (s *Store) ReadAggregate(ctx context.Context, aggregate eventstore.Aggregate, from int32, limit int) ([]eventstore.Recorded, error) {
	var most any // NULL: no limit
	if limit > 0 {
		most = int64(limit)
	}
	decoder := newDecoder(limit)
	var out []eventstore.Recorded
	_, err := s.query(ctx, "read an aggregate", func(columns [][]byte) {
		out = append(out, eventstore.Recorded{})
		decoder.record(&out[len(out)-1], columns)
	}, readAggregateSQL, int16(aggregate.Category), [16]byte(aggregate.ID), from, most)
	if err != nil {
		return nil, err
	}
	return out, nil
}

// ReadCommands finds the first results of commands, in the order asked.
func (s *Store) ReadCommands(ctx context.Context, commands ...eventstore.Command) ([]eventstore.Known, error) {
	if len(commands) == 0 {
		return nil, s.check(ctx)
	}
	keys := make([][]byte, len(commands))
	for i := range commands {
		keys[i] = commands[i].Key[:]
	}
	out := make([]eventstore.Known, len(commands))
	_, err := s.query(ctx, "look up commands", func(columns [][]byte) {
		i := int8Of(columns[0]) - 1
		if [32]byte(columns[1]) != commands[i].Body {
			out[i].Reused = true
			return
		}
		out[i] = eventstore.Known{Found: true, Result: eventstore.Result{
			Position: int8Of(columns[2]), Count: int(int4Of(columns[3])), RecordedAt: timeOf(columns[4]), Repeated: true,
		}}
	}, knownSQL, keys)
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Head returns the last record's position and time; position -1 on an empty log.
func (s *Store) Head(ctx context.Context) (eventstore.Head, error) {
	head := eventstore.Head{Position: -1}
	_, err := s.query(ctx, "read the head", func(columns [][]byte) {
		head = eventstore.Head{Position: int8Of(columns[0]), RecordedAt: timeOf(columns[1])}
	}, headSQL)
	return head, err
}
