-- The log and what decides appends. All of it is insert-only, by triggers: whoever opens this file with another program is stopped as
-- well, unless they mean to tamper; that, the Merkle tree shows.

-- The one log. Its only index is the position.
CREATE TABLE log (
	position    INTEGER PRIMARY KEY,
	recorded_at INTEGER NOT NULL, -- µs since 1970, UTC
	key_ref     INTEGER NOT NULL,
	cause       INTEGER,
	version     INTEGER NOT NULL,
	category    INTEGER NOT NULL,
	schema      INTEGER NOT NULL,
	issuer      INTEGER NOT NULL,
	actor_kind  INTEGER NOT NULL,
	channel     INTEGER NOT NULL,
	class       INTEGER NOT NULL,
	aggregate   BLOB    NOT NULL,
	event_id    BLOB    NOT NULL,
	subject     BLOB,
	type        TEXT    NOT NULL,
	commitment  BLOB    NOT NULL,
	leaf        BLOB    NOT NULL,
	payload     BLOB    NOT NULL
) STRICT;

-- Versions first_version … first_version+count-1 of an aggregate stand at position … position+count-1. Decides versions and finds an
-- aggregate's records; rebuildable from the log.
CREATE TABLE chunks (
	category      INTEGER NOT NULL,
	aggregate     BLOB    NOT NULL,
	first_version INTEGER NOT NULL,
	count         INTEGER NOT NULL,
	position      INTEGER NOT NULL,
	PRIMARY KEY (category, aggregate, first_version)
) STRICT, WITHOUT ROWID;

-- What each command came to. Primary data: after an erasure the log can't give it back.
CREATE TABLE commands (
	key      BLOB    PRIMARY KEY,
	body     BLOB    NOT NULL,
	position INTEGER NOT NULL,
	count    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Where restricting events about a subject stand; the zero subject is everyone. Rebuildable from the log.
CREATE TABLE restricting (
	subject  BLOB    NOT NULL,
	position INTEGER NOT NULL,
	PRIMARY KEY (subject, position)
) STRICT, WITHOUT ROWID;

-- The log's identity; the highest generation is the current one.
CREATE TABLE meta (
	generation INTEGER PRIMARY KEY,
	log_id     BLOB NOT NULL
) STRICT;

-- Derived data: rows of views and how far each is folded; who leads.
CREATE TABLE views (
	view  TEXT NOT NULL,
	key   BLOB NOT NULL,
	value BLOB NOT NULL,
	PRIMARY KEY (view, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE checkpoints (
	view     TEXT PRIMARY KEY,
	position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE leases (
	name    TEXT PRIMARY KEY,
	owner   TEXT    NOT NULL,
	expires INTEGER NOT NULL -- µs since 1970, UTC
) STRICT, WITHOUT ROWID;

CREATE TRIGGER log_update         BEFORE UPDATE ON log         BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER log_delete         BEFORE DELETE ON log         BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER chunks_update      BEFORE UPDATE ON chunks      BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER chunks_delete      BEFORE DELETE ON chunks      BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER commands_update    BEFORE UPDATE ON commands    BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER commands_delete    BEFORE DELETE ON commands    BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER restricting_update BEFORE UPDATE ON restricting BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER restricting_delete BEFORE DELETE ON restricting BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER meta_update        BEFORE UPDATE ON meta        BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER meta_delete        BEFORE DELETE ON meta        BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;

-- A gap, and a REPLACE (which would delete without asking the triggers above), are refused as well.
CREATE TRIGGER log_insert BEFORE INSERT ON log WHEN NEW.position IS NOT (SELECT coalesce(max(position), -1) + 1 FROM log)
BEGIN SELECT RAISE(ABORT, 'positions of the log have no gap'); END;
