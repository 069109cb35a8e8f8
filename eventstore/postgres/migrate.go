package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tellonce/hub/eventstore"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrate brings the store that config names to this program's version, one transaction for each step, one process at a time, and
// returns the version it found (0: none). It creates the schema and the appending role where they are missing. A store of a newer
// version is ErrStoreVersion.
func Migrate(ctx context.Context, config Config) (found int, err error) {
	config = config.withDefaults()
	conn, err := config.connectOwner(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	// One process at a time; the lock ends with the connection.
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock(hashtextextended($1, 0))", "tellonce migrate "+config.Schema); err != nil {
		return 0, wrapf(err, "wait for another process that migrates")
	}
	if found, err = storeVersion(ctx, conn, config.Schema); err != nil {
		return found, err
	}
	steps, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return found, err
	}
	if found > len(steps) {
		return found, fmt.Errorf("%w: version %d, this program knows %d", eventstore.ErrStoreVersion, found, len(steps))
	}
	if err := prepareSchema(ctx, conn, config); err != nil {
		return found, fmt.Errorf("postgres: prepare schema and role: %w", err)
	}
	for i, name := range steps {
		if err := migrateStep(ctx, conn, config, i+1, name); err != nil {
			return found, fmt.Errorf("postgres: migrate to version %d: %w", i+1, err)
		}
	}
	return found, nil
}

// checkVersion says whether a store stands at this program's version: ready false if there is none yet, an error if it is another.
func checkVersion(ctx context.Context, config Config) (ready bool, err error) {
	conn, err := config.connectOwner(ctx)
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	found, err := storeVersion(ctx, conn, config.Schema)
	if err != nil || found == 0 {
		return false, err
	}
	steps, err := fs.Glob(migrations, "migrations/*.sql")
	switch {
	case err != nil:
		return false, err
	case found < len(steps):
		return false, fmt.Errorf("%w: version %d, this program needs %d; run migrate", eventstore.ErrStoreVersion, found, len(steps))
	case found > len(steps):
		return false, fmt.Errorf("%w: version %d, this program knows %d", eventstore.ErrStoreVersion, found, len(steps))
	}
	return true, nil
}

// storeVersion is the version of the store in schema; 0 if there is none.
func storeVersion(ctx context.Context, conn *pgx.Conn, schema string) (int, error) {
	var there bool
	table := pgx.Identifier{schema, "schema_version"}.Sanitize()
	if err := conn.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", table).Scan(&there); err != nil || !there {
		return 0, wrapf(err, "read the store's version")
	}
	var version int
	err := conn.QueryRow(ctx, "SELECT coalesce(max(version), 0) FROM "+table).Scan(&version)
	return version, wrapf(err, "read the store's version")
}

// prepareSchema makes schema, version table and role; each may be there. Roles belong to the whole cluster, and so may be made at the same
// moment for a store in another schema or database: whoever is second sees that it is there.
func prepareSchema(ctx context.Context, conn *pgx.Conn, config Config) error {
	schema, role := pgx.Identifier{config.Schema}.Sanitize(), pgx.Identifier{config.Role}.Sanitize()
	var there, member bool
	const ask = "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)"
	if err := conn.QueryRow(ctx, ask, config.Role).Scan(&there); err != nil {
		return err
	}
	if !there {
		if _, err := conn.Exec(ctx, "CREATE ROLE "+role+" NOLOGIN"); err != nil && !isCode(err, "42710", "23505") {
			return fmt.Errorf("create role %s (create it by hand, or give the user CREATEROLE): %w", role, err)
		}
	}
	if err := conn.QueryRow(ctx, "SELECT pg_has_role(current_user, $1, 'MEMBER')", config.Role).Scan(&member); err != nil {
		return err
	}
	if !member {
		if _, err := conn.Exec(ctx, "GRANT "+role+" TO CURRENT_USER"); err != nil && !isCode(err, "XX000", "23505") {
			return fmt.Errorf("make the user a member of role %s: %w", role, err)
		}
	}
	for _, sql := range []string{
		"CREATE SCHEMA IF NOT EXISTS " + schema,
		"CREATE TABLE IF NOT EXISTS " + schema + ".schema_version (version integer PRIMARY KEY, made_at timestamptz NOT NULL DEFAULT now())",
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// migrateStep takes one step unless it has been taken. If the process dies in here, the transaction was not committed and the next start
// takes the step.
func migrateStep(ctx context.Context, conn *pgx.Conn, config Config, version int, name string) error {
	sql, err := migrations.ReadFile(name)
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "LOCK TABLE schema_version IN EXCLUSIVE MODE"); err != nil {
			return err
		}
		var taken bool
		err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM schema_version WHERE version >= $1)", version).Scan(&taken)
		if err != nil || taken {
			return err
		}
		if _, err := tx.Exec(ctx, "SELECT set_config('tellonce.role', $1, true)", config.Role); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, string(sql)); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "INSERT INTO schema_version (version) VALUES ($1)", version)
		return err
	})
}

// isCode says whether err is the server's, with one of the SQLSTATE codes.
func isCode(err error, codes ...string) bool {
	var server *pgconn.PgError
	if !errors.As(err, &server) {
		return false
	}
	for _, code := range codes {
		if server.Code == code {
			return true
		}
	}
	return false
}

func wrapf(err error, doing string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("postgres: %s: %w", doing, err)
}
