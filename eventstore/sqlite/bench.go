package sqlite

import (
	"context"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/ncruces/go-sqlite3"

	"github.com/tellonce/hub/eventstore/storebench"
)

// bench is one run: a store, with a raw table in a file of its own beside it.
type bench struct {
	config storebench.Config
	store  *Store
	raw    *conn
	turn   sync.Mutex // of raw: SQLite has one writer
}

// Bench measures the store in a folder that its caller makes and removes, and reports each figure as it is known: appends of two records
// under the whole contract against one INSERT per commit of one record; import against INSERTs of what it came to, in transactions of the
// same size; replay against a SELECT that copies every payload.
func Bench(ctx context.Context, dir string, config storebench.Config, report func(storebench.Line)) error {
	config = config.WithDefaults()
	store, err := Open(ctx, Config{Dir: filepath.Join(dir, "store")})
	if err != nil {
		return err
	}
	defer store.Close() //nolint:errcheck // a benchmark's
	raw, err := connect(ctx, "file:"+filepath.Join(dir, "raw.db"), sqlite3.OPEN_READWRITE|sqlite3.OPEN_CREATE)
	if err != nil {
		return err
	}
	defer raw.close() //nolint:errcheck // a benchmark's
	err = raw.db.Exec(`PRAGMA journal_mode = WAL;
		CREATE TABLE raw (id INTEGER PRIMARY KEY, stream BLOB, version INTEGER, type TEXT, at INTEGER, data BLOB, metadata BLOB, UNIQUE (stream, version))`)
	if err != nil {
		return explained(err)
	}
	if err := storebench.Begin(ctx, store); err != nil {
		return err
	}
	b := &bench{config: config, store: store, raw: raw}
	for _, part := range []struct {
		name storebench.Part
		run  func(context.Context, func(storebench.Line)) error
	}{{storebench.PartImport, b.importing}, {storebench.PartReplay, b.replay}, {storebench.PartAppend, b.appends}} {
		if len(config.Parts) > 0 && !slices.Contains(config.Parts, part.name) {
			continue
		}
		if err := part.run(ctx, report); err != nil {
			return err
		}
	}
	return nil
}

// contest lets contenders run in turns and returns each one's median.
func (b *bench) contest(contenders ...func() (storebench.Measure, error)) ([]storebench.Measure, error) {
	measures := make([][]storebench.Measure, len(contenders))
	for range b.config.Rounds {
		for i, run := range contenders {
			m, err := run()
			if err != nil {
				return nil, err
			}
			measures[i] = append(measures[i], m)
		}
	}
	out := make([]storebench.Measure, len(contenders))
	for i := range measures {
		out[i] = storebench.Median(measures[i])
	}
	return out, nil
}

func (b *bench) insert(size int) error {
	id := uuid.New()
	return b.raw.exec(`INSERT INTO raw (stream, version, type, at, data, metadata) VALUES (?, 1, 'address-changed', ?, ?, ?)`,
		id[:], time.Now().UnixMicro(), storebench.Noise(size), storebench.Noise(200))
}

// rawInserts writes so many rows in one transaction.
func (b *bench) rawInserts(ctx context.Context, rows int) error {
	b.turn.Lock()
	defer b.turn.Unlock()
	return b.raw.within(ctx, `BEGIN IMMEDIATE`, func() error {
		for range rows {
			if err := b.insert(600); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *bench) appends(ctx context.Context, report func(storebench.Line)) error {
	for _, writers := range b.config.Writers {
		m, err := b.contest(
			func() (storebench.Measure, error) {
				return storebench.Write(ctx, writers, b.config.Round, func(ctx context.Context, _ int) (int, error) { return 1, b.rawInserts(ctx, 1) })
			},
			func() (storebench.Measure, error) {
				return storebench.Write(ctx, writers, b.config.Round, storebench.NewTells(b.store, writers, 2000, 0).Call)
			})
		if err != nil {
			return err
		}
		report(storebench.Line{Name: "append of two records", Against: "one INSERT per commit of one record", Writers: writers, Ours: m[1], Raw: m[0]})
	}
	return nil
}

func (b *bench) importing(ctx context.Context, report func(storebench.Line)) error {
	per := b.config.Import / b.config.Rounds
	m, err := b.contest(
		func() (storebench.Measure, error) { return storebench.Import(ctx, b.store, per, b.config.PerCall) },
		func() (storebench.Measure, error) {
			m, began := storebench.Measure{}, time.Now()
			for m.Records < per {
				if err := b.rawInserts(ctx, b.config.PerCall); err != nil {
					return m, err
				}
				m.Calls, m.Records = m.Calls+1, m.Records+b.config.PerCall
			}
			m.Elapsed = time.Since(began)
			return m, nil
		})
	if err != nil {
		return err
	}
	report(storebench.Line{Name: "import", Against: "INSERTs in transactions of the same size", Ours: m[0], Raw: m[1]})
	return nil
}

func (b *bench) replay(ctx context.Context, report func(storebench.Line)) error {
	m, err := b.contest(
		func() (storebench.Measure, error) { return storebench.Replay(ctx, b.store, 1000, nil) },
		func() (storebench.Measure, error) {
			m, began := storebench.Measure{Calls: 1}, time.Now()
			err := b.raw.query(`SELECT data, metadata FROM raw ORDER BY id`, func(s *sqlite3.Stmt) error {
				_, _ = s.ColumnBlob(0, nil), s.ColumnBlob(1, nil)
				m.Records++
				return nil
			})
			m.Elapsed = time.Since(began)
			return m, err
		})
	if err != nil {
		return err
	}
	report(storebench.Line{Name: "replay, pages of 1000", Against: "one SELECT of payloads", Ours: m[0], Raw: m[1]})
	return nil
}
