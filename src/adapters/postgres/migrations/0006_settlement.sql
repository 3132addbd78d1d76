-- Up Migration

-- How far minutes are settled and closed. One row: a flush and a restatement lock it shared until they end, a run that
-- settles and a closing have the table for themselves, so each sees what the other has done.
create table settlement (
  one_row boolean primary key default true check (one_row),
  -- Changes of minutes before this one are restatements: a run verifies them, or has verified them.
  watched_through timestamptz not null default '-infinity',
  -- Minutes before this one were found equal by a replay, but for the windows in `drift`.
  settled_through timestamptz not null default '-infinity' check (settled_through <= watched_through),
  -- Minutes before this one are in closed billing periods: their rows do not move.
  closed_through timestamptz not null default '-infinity' check (closed_through <= settled_through)
);

insert into settlement default values;

-- When minutes became settled, for questions about numbers as they stood at a time.
create table settled (
  through timestamptz primary key,
  run bigint not null,
  settled_at timestamptz not null default clock_timestamp()
);

-- Windows before `settled_through` that a replay found to differ: provisional until they are restated, or a replay that
-- begins no later finds them equal. Rows stay, for questions about numbers as they stood at a time.
create table drift (
  ad_id text collate "C" not null,
  minute timestamptz not null,
  run bigint not null,
  -- Where that replay's minutes began; null: at the first. One that begins later sees less.
  range_from timestamptz,
  found_at timestamptz not null default clock_timestamp(),
  ended_at timestamptz,
  primary key (ad_id, minute, found_at)
);
create unique index drift_open on drift (ad_id, minute) where ended_at is null;

-- Closed billing periods: half-open, UTC months, without a gap between them.
create table billing_period (
  starts timestamptz primary key,
  ends timestamptz not null unique check (ends > starts),
  closed_at timestamptz not null default clock_timestamp()
);

-- What came for minutes of closed periods, added up like any counts (I10): booked in the period that was open then.
create table adjustment (
  ad_id text collate "C" not null,
  -- The minute that it belongs to; its row in ad_minute is final.
  minute timestamptz not null,
  -- Where the open period began.
  booked_in timestamptz not null,
  valid bigint not null,
  repeat bigint not null,
  givt bigint not null,
  sivt bigint not null,
  defective bigint not null,
  test bigint not null,
  fingerprint_high bigint not null,
  fingerprint_low bigint not null,
  primary key (ad_id, minute, booked_in)
);
create index adjustment_booked_in on adjustment (booked_in, ad_id, minute);

-- How often the window was restated.
alter table ad_minute add column revision integer not null default 0;

alter table restatement drop constraint restatement_cause_check;
alter table restatement
  add check (cause in ('LATE', 'RECONCILE', 'RECLASSIFY', 'MANUAL')),
  -- LATE restatements come with a flush, of no run.
  alter column run drop not null,
  -- The window's revision after it; null for an adjustment.
  add column revision integer,
  -- For an adjustment: the open period that it is booked in. Before and after are then the sums of the final row and
  -- all adjustments of the window.
  add column booked_in timestamptz,
  -- MANUAL: why, in the words of who did it.
  add column note text;
create index restatement_applied_at on restatement (applied_at);
