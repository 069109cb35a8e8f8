package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tellonce/hub/eventstore"
)

// How long the server is waited for. A link on which nothing comes back any more says nothing by itself, for many minutes: who waits must be told
// before their own caller has gone, and a follower must try again.
const (
	patience    = 15 * time.Second // for a free connection and a statement's last row
	connectTime = 10 * time.Second
)

// patientPool gives up statements that take too long. A transaction (Begin) takes its time.
type patientPool struct {
	*pgxpool.Pool
	patience time.Duration
}

// Exec is the pool's.
func (p patientPool) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	ctx, cancel := context.WithTimeout(ctx, p.patience)
	defer cancel()
	return p.Pool.Exec(ctx, sql, args...)
}

// Query is the pool's. The rows MUST be closed.
func (p patientPool) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	ctx, cancel := context.WithTimeout(ctx, p.patience)
	rows, err := p.Pool.Query(ctx, sql, args...)
	if err != nil {
		cancel()
		return rows, err
	}
	return &patientRows{rows, cancel}, nil
}

// QueryRow is the pool's.
func (p patientPool) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	ctx, cancel := context.WithTimeout(ctx, p.patience)
	return &patientRow{p.Pool.QueryRow(ctx, sql, args...), cancel}
}

type patientRows struct {
	pgx.Rows
	cancel context.CancelFunc
}

// Close also ends the waiting.
func (r *patientRows) Close() {
	r.Rows.Close()
	r.cancel()
}

type patientRow struct {
	pgx.Row
	cancel context.CancelFunc
}

// Scan also ends the waiting.
func (r *patientRow) Scan(into ...any) error {
	defer r.cancel()
	return r.Row.Scan(into...)
}

// hurry bounds how long connecting takes, unless the address says so itself, and notices a peer that is gone from a connection that only listens.
func hurry(config *pgx.ConnConfig) {
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTime
		config.DialFunc = (&net.Dialer{Timeout: connectTime}).DialContext
	}
}

// failed is err with what was being done. Where the server was not reached, or did not answer, it is an eventstore.ErrUnavailable.
func failed(doing string, err error) error {
	if lost(err) {
		return fmt.Errorf("%w: %s: %w", eventstore.ErrUnavailable, doing, err)
	}
	return fmt.Errorf("postgres: %s: %w", doing, err)
}

// lost says whether the server could not be asked, or its answer did not come. The end of the caller's own context is neither.
func lost(err error) bool {
	var connect *pgconn.ConnectError
	var network net.Error
	var server *pgconn.PgError
	switch {
	case errors.Is(err, context.Canceled):
		return false
	case errors.As(err, &server):
		return server.SeverityUnlocalized != "ERROR" // it ends the connection
	}
	return errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, context.DeadlineExceeded) || pgconn.SafeToRetry(err)
}
