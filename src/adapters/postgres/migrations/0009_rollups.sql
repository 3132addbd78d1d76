-- Up Migration

-- Sums of the counts for questions over long ranges and over dimensions. Each flush and restatement adds its delta to
-- these in the statement that adds it to ad_minute (I10); final minutes move in none of them. A partition a UTC day.

-- The minutes of an ad and UTC hour.
create table ad_hour (
  ad_id text collate "C" not null,
  hour timestamptz not null,
  valid bigint not null,
  repeat bigint not null,
  givt bigint not null,
  sivt bigint not null,
  defective bigint not null,
  test bigint not null,
  -- How often its minutes were restated.
  revision bigint not null default 0,
  primary key (ad_id, hour)
) partition by range (hour);

-- The minutes of an ad and UTC day, to rank ads by.
create table ad_day (
  ad_id text collate "C" not null,
  day timestamptz not null,
  valid bigint not null,
  repeat bigint not null,
  givt bigint not null,
  sivt bigint not null,
  defective bigint not null,
  test bigint not null,
  primary key (ad_id, day)
) partition by range (day);
create index ad_day_valid on ad_day (valid desc);

-- All ads of a shard together. Apart by shard, so that flushes do not wait for each other; restatements add to shard -1.
create table shard_minute (
  shard integer not null,
  minute timestamptz not null,
  valid bigint not null,
  repeat bigint not null,
  givt bigint not null,
  sivt bigint not null,
  defective bigint not null,
  test bigint not null,
  primary key (minute, shard)
);

-- An ad's clicks in a quarter of an hour by the values of a kind of rollup (src/domain/dimensions.ts). Clicks of which no
-- value is known have no row: they are what the ad's minutes have beyond these rows.
create table ad_dimension (
  ad_id text collate "C" not null,
  kind smallint not null,
  quarter timestamptz not null,
  value text collate "C" not null,
  value2 text collate "C" not null,
  valid bigint not null,
  repeat bigint not null,
  givt bigint not null,
  sivt bigint not null,
  defective bigint not null,
  test bigint not null,
  primary key (ad_id, kind, quarter, value, value2),
  check (value <> '' or value2 <> '')
) partition by range (quarter);

-- The same of all ads of a shard together; apart by shard as shard_minute.
create table shard_dimension (
  shard integer not null,
  kind smallint not null,
  quarter timestamptz not null,
  value text collate "C" not null,
  value2 text collate "C" not null,
  valid bigint not null,
  repeat bigint not null,
  givt bigint not null,
  sivt bigint not null,
  defective bigint not null,
  test bigint not null,
  primary key (kind, quarter, value, value2, shard),
  check (value <> '' or value2 <> '')
) partition by range (quarter);
