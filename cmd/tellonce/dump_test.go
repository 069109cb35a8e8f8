package main

import (
	"bytes"
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// dump is every byte of a log's tables and its keys' tables.
func dump(t *testing.T, p *place) string {
	t.Helper()
	ctx := context.Background()
	u, err := url.Parse(strings.TrimPrefix(p.env[0], "TELLONCE_STORE="))
	require.NoError(t, err)
	query := u.Query()
	schema := query.Get("tellonce_schema")
	query.Del("tellonce_schema")
	u.RawQuery = query.Encode()
	conn, err := pgx.Connect(ctx, u.String())
	require.NoError(t, err)
	defer conn.Close(ctx) //nolint:errcheck // a test's
	rows, err := conn.Query(ctx, `SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname IN ($1::text, $1::text || '_keys')`, schema)
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Greater(t, len(tables), 6)
	var out bytes.Buffer
	for _, table := range tables {
		_, err := conn.PgConn().CopyTo(ctx, &out, "COPY "+table+" TO STDOUT (FORMAT binary)")
		require.NoError(t, err)
	}
	require.Greater(t, out.Len(), 20_000)
	return out.String()
}
