-- One row per saga; what is asked for by index stands in columns, the rest in blobs (store/codec.py).
-- A transition writes few rows: its saga, the steps it changed, and one row for all its events. ids grow with time
-- where the server or the SDK chooses them, so that most B-trees grow at their end.
create table meta (key text primary key, value any not null) strict, without rowid;

create table saga (
    n          integer primary key,          -- short internal number, so that steps and events need not repeat the id
    id         text not null unique,
    part       integer not null,             -- partition_of(id)
    version    integer not null,
    commit_id  text not null,
    last_seq   integer not null,
    state      text not null,
    definition text not null,
    created    integer not null,
    updated    integer not null,
    expires    integer not null,             -- when it completed, for cleanup; 0 before the outcome, and if failed
    due        integer not null,             -- 0 is never
    in_flight  integer not null,
    stuck      integer not null,
    labels     text,                         -- JSON objects, for filters; null if empty
    metadata   text,
    progress   blob not null,                -- what transitions change, the steps apart
    origin     blob not null                 -- last: what does not fit the page comes after all that is searched
) strict;
create index saga_due on saga (part, due) where due > 0;
create index saga_in_flight on saga (part, id) where in_flight;
create index saga_expires on saga (part, expires) where expires > 0;
create index saga_created on saga (created, id);
create index saga_updated on saga (updated, id);
create index saga_state on saga (state, created, id);
create index saga_definition on saga (definition, created, id);

create table label (
    key   text not null,
    value text not null,
    saga  integer not null,
    primary key (key, value, saga)
) strict, without rowid;

create table step (
    saga  integer not null,
    i     integer not null,
    data  blob not null,
    primary key (saga, i)
) strict, without rowid;

create table event (                         -- one row per transition that had any
    position integer primary key,            -- the last event's, in the feed over all partitions; never used twice
    saga     integer not null,
    seq      integer not null,               -- the last event's
    data     blob not null
) strict;
create unique index event_saga on event (saga, seq);

create table lease (
    part    integer primary key,
    epoch   integer not null,                -- never goes back, never expires
    nonce   text not null,                   -- empty once released
    owner   text not null,
    expires integer not null                 -- 0: free
) strict;

create table inbox (
    n        integer primary key,
    entry_id text not null unique,
    part     integer not null,
    saga_id  text not null,
    body     blob not null,
    answer   blob,                           -- null until consumed
    answered integer not null default 0
) strict;
create index inbox_open on inbox (part, n) where answer is null;
create index inbox_answered on inbox (answered) where answer is not null;

create table definition (
    id         text not null,
    version    integer not null,             -- 0: inline
    digest     text not null,
    registered integer not null,
    disabled   integer not null default 0,
    data       blob not null,
    primary key (id, version, digest)
) strict, without rowid;
create index definition_digest on definition (id, digest);
