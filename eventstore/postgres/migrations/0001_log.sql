-- The log and what decides appends. All of it is insert-only: the appending role can neither UPDATE nor DELETE here (see the end).
-- Unqualified names stand in the schema that search_path names; tellonce.role is set by the migration.

-- The one log. Its only index is the position: the fence between replicas, and no cost to a later partitioning by range.
CREATE TABLE log (
	position    bigint      PRIMARY KEY,
	recorded_at timestamptz NOT NULL,
	key_ref     bigint      NOT NULL,
	cause       bigint,
	version     integer     NOT NULL,
	category    smallint    NOT NULL,
	schema      smallint    NOT NULL,
	issuer      smallint    NOT NULL,
	actor_kind  smallint    NOT NULL,
	channel     smallint    NOT NULL,
	class       smallint    NOT NULL,
	aggregate   uuid        NOT NULL,
	event_id    uuid        NOT NULL,
	subject     uuid,
	type        text        NOT NULL,
	commitment  bytea       NOT NULL,
	leaf        bytea       NOT NULL,
	payload     bytea       NOT NULL
);
-- Payloads are sealed: compressing them is lost work.
ALTER TABLE log ALTER COLUMN payload SET STORAGE EXTERNAL;

-- Versions first_version … first_version+count-1 of an aggregate stand at position … position+count-1. Decides versions and finds an
-- aggregate's records; rebuildable from the log. The included columns make both index-only.
CREATE TABLE chunks (
	category      smallint NOT NULL,
	aggregate     uuid     NOT NULL,
	first_version integer  NOT NULL,
	count         integer  NOT NULL,
	position      bigint   NOT NULL,
	PRIMARY KEY (aggregate, category, first_version) INCLUDE (count, position)
);

-- What each command came to. Primary data: after an erasure the log can't give it back.
CREATE TABLE commands (
	key      bytea   PRIMARY KEY,
	body     bytea   NOT NULL,
	position bigint  NOT NULL,
	count    integer NOT NULL
);

-- Where restricting events about a subject stand; the zero subject is everyone. Rebuildable from the log.
CREATE TABLE restricting (
	subject  uuid   NOT NULL,
	position bigint NOT NULL,
	PRIMARY KEY (subject, position)
);

-- The log's identity; the highest generation is the current one.
CREATE TABLE meta (
	generation bigint PRIMARY KEY,
	log_id     uuid   NOT NULL
);

-- Shapes of parameters.
CREATE TYPE expectation AS (category smallint, aggregate uuid, version integer);
CREATE TYPE guard AS (subject uuid, after bigint);

-- Derived data: rows of views and how far each is folded; who leads.
CREATE TABLE views (
	view  text  NOT NULL,
	key   bytea NOT NULL,
	value bytea NOT NULL,
	PRIMARY KEY (view, key)
);
CREATE TABLE checkpoints (
	view     text   PRIMARY KEY,
	position bigint NOT NULL
);
CREATE TABLE leases (
	name    text        PRIMARY KEY,
	owner   text        NOT NULL,
	expires timestamptz NOT NULL
);

DO $$
DECLARE
	role text := current_setting('tellonce.role');
BEGIN
	EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), role);
	EXECUTE format('GRANT SELECT, INSERT ON log, chunks, commands, restricting, meta TO %I', role);
	EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON views, checkpoints, leases TO %I', role);
	EXECUTE format('GRANT SELECT ON schema_version TO %I', role);
END $$;
