-- The stream whose file this is.
create table if not exists stream (only integer primary key check (only = 1), name text not null) strict;

-- How far each lane is.
create table if not exists lanes (
    lane integer primary key,
    generation integer not null,
    last integer not null,
    answered integer not null,
    rejected blob
) strict;

-- What was told and stands: also what does not hold yet, and what holds no more but might again.
create table if not exists facts (
    generation integer not null,
    lane integer not null,
    number integer not null,
    first integer not null,
    subject text not null,
    agreement text not null,
    type text not null,
    key text not null,
    effective text not null,
    recorded text not null,
    assurance text not null,
    standing text not null,
    fields text not null,
    cursor text generated always as (generation || '.' || lane || '.' || number) virtual,
    primary key (generation, lane, number)
) strict, without rowid;

create index if not exists facts_of_subject on facts (subject);

-- Pairwise ids of people who are known by another one.
create table if not exists aliases (
    subject text primary key,
    known_as text not null,
    generation integer not null,
    lane integer not null,
    number integer not null
) strict, without rowid;

create index if not exists aliases_to on aliases (known_as);
create index if not exists aliases_by on aliases (generation, lane, number);

-- What holds today.
create view if not exists current_values as
select subject, agreement, type, key, fields, cursor, effective, recorded, assurance, standing
from (
    select *, row_number() over (
        partition by subject, agreement, type, key
        order by effective desc, generation desc, lane desc, first desc, number desc
    ) as place
    from facts
    where effective <= date('now', 'localtime')
)
where place = 1;
