-- Up Migration

alter table dead_letter
  -- When it was stored: people look at the newest first. -infinity: before this was written down.
  add column buried_at timestamptz not null default '-infinity',
  -- Where its clicks stand since they were published again; null while they were not.
  add column redriven_at timestamptz,
  add column redriven_shard integer,
  add column redriven_incarnation text,
  add column redriven_sequence bigint,
  add constraint dead_letter_redriven_whole
    check (num_nulls(redriven_at, redriven_shard, redriven_incarnation, redriven_sequence) in (0, 4));

alter table dead_letter alter column buried_at set default now();
