-- Up Migration

-- A shard's checkpoint. It moves in the same statement as the counts (I8).
create table shard (
  shard integer primary key check (shard >= 0),
  -- When the shard's stream was created: another value means another stream.
  incarnation text not null,
  -- The actors process that owns the shard, and until when nobody else may take it over.
  owner text,
  lease_until timestamptz not null default '-infinity',
  -- Rises by one at every take-over; a flush under an older epoch is refused (I9).
  epoch bigint not null default 0,
  -- The highest stream sequence whose clicks are all in the counts, and the stream time there.
  floor bigint not null default 0,
  stream_time_ms bigint not null default 0,
  -- Everything received before this moment of the broker's clock is inside the floor.
  arrived_through_ms bigint not null default 0,
  -- records = received clicks + duplicates + dead letters (I12).
  records bigint not null default 0,
  duplicates bigint not null default 0,
  dead_letters bigint not null default 0
);

-- Counts of one ad in one minute window. Written only by adding deltas (I10). A partition a UTC day.
create table ad_minute (
  ad_id text collate "C" not null,
  minute timestamptz not null,
  valid bigint not null,
  repeat bigint not null,
  givt bigint not null,
  sivt bigint not null,
  defective bigint not null,
  test bigint not null,
  -- Sums of the high and low halves of a 64-bit hash of every counted click and its disposition.
  fingerprint_high bigint not null,
  fingerprint_low bigint not null,
  primary key (ad_id, minute)
) partition by range (minute);

-- Records that could not be judged: kept, counted in shard.dead_letters, never dropped.
create table dead_letter (
  shard integer not null,
  incarnation text not null,
  sequence bigint not null,
  index integer not null,
  reason text not null,
  bytes bytea not null,
  primary key (shard, incarnation, sequence, index)
);

create table ad (
  ad_id text collate "C" primary key,
  campaign_id text not null,
  advertiser_id text not null,
  destination_url text not null,
  status text not null check (status in ('ACTIVE', 'PAUSED'))
);
