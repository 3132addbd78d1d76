-- Up Migration

-- What a recount of the streams has changed in ad_minute, each change in the transaction that made it (I13).
create table restatement (
  id bigint generated always as identity primary key,
  run bigint not null,
  ad_id text collate "C" not null,
  minute timestamptz not null,
  cause text not null check (cause in ('RECONCILE')),
  -- Stored and recounted, as of the end of the stream range: the change is after - before.
  before_valid bigint not null,
  before_repeat bigint not null,
  before_givt bigint not null,
  before_sivt bigint not null,
  before_defective bigint not null,
  before_test bigint not null,
  before_fingerprint_high bigint not null,
  before_fingerprint_low bigint not null,
  after_valid bigint not null,
  after_repeat bigint not null,
  after_givt bigint not null,
  after_sivt bigint not null,
  after_defective bigint not null,
  after_test bigint not null,
  after_fingerprint_high bigint not null,
  after_fingerprint_low bigint not null,
  -- Records of the window that live counting could not recognise any more, and counted as new.
  late bigint not null,
  rule_set_version integer not null,
  -- What was replayed: {"<shard>": {"incarnation": …, "from": …, "through": …}}.
  streams jsonb not null,
  -- Where the minutes asked for begin; null: at the first. A later recount that begins later sees less.
  range_from timestamptz,
  applied_at timestamptz not null default clock_timestamp(),
  unique (ad_id, minute, run)
);

-- The fence of runs that restate: each raises `run`, and every chunk of it compares and sets both.
create table reconcile_run (
  one_row boolean primary key default true check (one_row),
  run bigint not null default 0,
  chunk bigint not null default 0
);

insert into reconcile_run default values;
