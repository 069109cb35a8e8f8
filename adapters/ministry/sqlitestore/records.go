package sqlitestore

import (
	"context"
	"database/sql"
	"errors"

	"github.com/tellonce/hub/adapters/ministry"
)

const columns = `generation, lane, number, first, subject, agreement, type, key, effective, recorded, assurance, standing, fields`

// Values returns what is kept of a person.
func (s *Store) Values(ctx context.Context, subject string) ([]ministry.Value, error) {
	return s.values(ctx, `select `+columns+` from facts where subject = ?`, subject)
}

// All returns what is kept of everybody, by cursor.
func (s *Store) All(ctx context.Context) ([]ministry.Value, error) {
	return s.values(ctx, `select `+columns+` from facts order by generation, lane, number`)
}

func (s *Store) values(ctx context.Context, query string, args ...any) (out []ministry.Value, err error) {
	var rows *sql.Rows
	if tx, ok := Tx(ctx); ok {
		rows, err = tx.QueryContext(ctx, query, args...)
	} else {
		rows, err = s.db.QueryContext(ctx, query, args...)
	}
	if err != nil {
		return nil, wrap(err)
	}
	defer func() { err = errors.Join(err, wrap(rows.Close())) }()
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, wrap(rows.Err())
}

// Value returns the value of a cursor.
func (s *Store) Value(ctx context.Context, c ministry.Cursor) (v ministry.Value, ok bool, err error) {
	v, err = scan(s.row(ctx, `select `+columns+` from facts where generation = ? and lane = ? and number = ?`, c.Generation, c.Lane, c.Number))
	if errors.Is(err, sql.ErrNoRows) {
		return v, false, nil
	}
	return v, err == nil, err
}

func scan(row interface{ Scan(...any) error }) (v ministry.Value, err error) {
	var fields []byte
	err = row.Scan(&v.Cursor.Generation, &v.Cursor.Lane, &v.Cursor.Number, &v.First.Number, &v.Subject, &v.Agreement, &v.Type, &v.Key, &v.Effective,
		&v.Recorded, &v.Assurance, &v.Standing, &fields)
	v.First.Generation, v.First.Lane, v.Fields = v.Cursor.Generation, v.Cursor.Lane, fields
	return v, wrap(err)
}

// Put keeps a value.
func (s *Store) Put(ctx context.Context, v ministry.Value) error {
	_, err := s.exec(ctx, `insert or replace into facts (`+columns+`) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		v.Cursor.Generation, v.Cursor.Lane, v.Cursor.Number, v.First.Number, v.Subject, v.Agreement, v.Type, v.Key, v.Effective, v.Recorded, v.Assurance,
		v.Standing, string(v.Fields))
	return err
}

// Delete forgets values and aliases.
func (s *Store) Delete(ctx context.Context, cursors ...ministry.Cursor) error {
	for _, c := range cursors {
		for _, table := range []string{
			`delete from facts where generation = ? and lane = ? and number = ?`, `delete from aliases where generation = ? and lane = ? and number = ?`,
		} {
			if _, err := s.exec(ctx, table, c.Generation, c.Lane, c.Number); err != nil {
				return err
			}
		}
	}
	return nil
}

// Alias lets one pairwise id lead to another.
func (s *Store) Alias(ctx context.Context, c ministry.Cursor, from, to string) error {
	if _, err := s.exec(ctx, `update facts set subject = ? where subject = ?`, to, from); err != nil {
		return err
	}
	if _, err := s.exec(ctx, `update aliases set known_as = ? where known_as = ?`, to, from); err != nil {
		return err
	}
	_, err := s.exec(ctx, `insert or replace into aliases (subject, known_as, generation, lane, number) values (?, ?, ?, ?, ?)`,
		from, to, c.Generation, c.Lane, c.Number)
	return err
}

// Resolve returns the id to which an alias leads.
func (s *Store) Resolve(ctx context.Context, subject string) (string, error) {
	to := subject
	err := s.row(ctx, `select known_as from aliases where subject = ?`, subject).Scan(&to)
	if errors.Is(err, sql.ErrNoRows) {
		return subject, nil
	}
	return to, wrap(err)
}

// Status returns the last cursor of each lane of which something has come, and how many values stand.
func (s *Store) Status(ctx context.Context) (last []ministry.Cursor, values int, err error) {
	if err := s.row(ctx, `select count(*) from facts`).Scan(&values); err != nil {
		return nil, 0, wrap(err)
	}
	rows, err := s.db.QueryContext(ctx, `select generation, lane, last from lanes order by lane`)
	if err != nil {
		return nil, 0, wrap(err)
	}
	defer func() { err = errors.Join(err, wrap(rows.Close())) }()
	last = []ministry.Cursor{}
	for rows.Next() {
		var c ministry.Cursor
		if err := rows.Scan(&c.Generation, &c.Lane, &c.Number); err != nil {
			return nil, 0, wrap(err)
		}
		last = append(last, c)
	}
	return last, values, wrap(rows.Err())
}
