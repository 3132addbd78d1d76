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

-- What a run has mended in these, each change in the transaction that made it (I13). What moves with a restated window is
-- in `restatement`.
create table rollup_restatement (
  id bigint generated always as identity primary key,
  run bigint not null,
  rollup text not null check (rollup in ('ad_hour', 'ad_day', 'shard_minute', 'ad_dimension', 'shard_dimension')),
  -- Empty: all ads together.
  ad_id text collate "C" not null,
  -- The row's hour, day, minute or quarter.
  starts timestamptz not null,
  kind smallint,
  value text not null,
  value2 text not null,
  -- A sum of wrong counts may be of any size.
  before_valid numeric not null,
  before_repeat numeric not null,
  before_givt numeric not null,
  before_sivt numeric not null,
  before_defective numeric not null,
  before_test numeric not null,
  after_valid numeric not null,
  after_repeat numeric not null,
  after_givt numeric not null,
  after_sivt numeric not null,
  after_defective numeric not null,
  after_test numeric not null,
  applied_at timestamptz not null default clock_timestamp()
);
create index rollup_restatement_run on rollup_restatement (run);

-- What was counted before this: its sums, with the days' partitions that they need. Nobody wrote down whose shard it was,
-- and of dimensions nothing is known until a reconcile counts them from the streams.
do $$
declare
  counted date;
begin
  for counted in select distinct (minute at time zone 'UTC')::date from ad_minute loop
    execute format('create table %I partition of ad_hour for values from (%L) to (%L)',
      'ad_hour_' || to_char(counted, 'YYYY_MM_DD'), counted || ' 00:00+00', counted + 1 || ' 00:00+00');
    execute format('create table %I partition of ad_day for values from (%L) to (%L)',
      'ad_day_' || to_char(counted, 'YYYY_MM_DD'), counted || ' 00:00+00', counted + 1 || ' 00:00+00');
  end loop;
end $$;

insert into ad_hour
select ad_id, date_bin('1 hour', minute, 'epoch'), sum(valid), sum(repeat), sum(givt), sum(sivt), sum(defective), sum(test)
from ad_minute group by 1, 2;

insert into ad_day
select ad_id, date_bin('1 day', hour, 'epoch'), sum(valid), sum(repeat), sum(givt), sum(sivt), sum(defective), sum(test)
from ad_hour group by 1, 2;

insert into shard_minute
select -1, minute, sum(valid), sum(repeat), sum(givt), sum(sivt), sum(defective), sum(test)
from ad_minute group by minute;

-- How often windows of a range were restated, whichever ads they are of.
create index restatement_minute on restatement (minute) where booked_in is null;

-- Questions about campaigns and advertisers.
create index ad_campaign_id on ad (campaign_id);
create index ad_advertiser_id on ad (advertiser_id);
