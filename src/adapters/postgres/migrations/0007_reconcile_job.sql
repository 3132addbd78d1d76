-- Up Migration

-- Runs of the reconciler process. The one that runs holds an advisory lock for as long as its process lives, so a row
-- that is RUNNING while nobody holds it belongs to a process that died.
create table reconcile_job (
  job bigint generated always as identity primary key,
  started_by text not null check (started_by in ('SCHEDULE', 'API')),
  -- What was asked for; null: no bound.
  range_from timestamptz,
  range_to timestamptz,
  ads text[],
  apply boolean not null,
  settle boolean not null,
  note text not null,
  state text not null default 'RUNNING' check (state in ('RUNNING', 'DONE', 'FAILED', 'CANCELLED', 'INTERRUPTED')),
  records bigint not null default 0,
  records_expected bigint not null default 0,
  started_at timestamptz not null default clock_timestamp(),
  ended_at timestamptz,
  -- What it found, and the first of the differences.
  result jsonb,
  differences jsonb not null default '[]',
  -- Why it did not come to its end.
  problem text not null default '',
  check ((state = 'RUNNING') = (ended_at is null))
);
create unique index reconcile_job_running on reconcile_job (state) where state = 'RUNNING';
