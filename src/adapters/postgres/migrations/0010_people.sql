-- Up Migration

-- Who clicked an ad in an hour and in a day of UTC, as a sketch (src/domain/people.ts): of valid and repeat clicks. A row of
-- a shard is written by that shard's owner alone, in its flush, so that it may be read, united and written back.
create table ad_people (
  shard integer not null,
  ad_id text collate "C" not null,
  -- The row's length: an hour or a day.
  hours smallint not null check (hours in (1, 24)),
  start timestamptz not null,
  sketch bytea not null,
  primary key (ad_id, hours, start, shard)
) partition by range (start);
-- Random keys and packed registers do not get shorter.
alter table ad_people alter column sketch set storage external;

-- From when on everybody is in ad_people: the next hour where clicks were counted before there was such a table.
create table people_since (
  since timestamptz not null
);
insert into people_since
select case when exists (select from ad_minute) then date_trunc('hour', clock_timestamp(), 'UTC') + interval '1 hour'
  else '-infinity' end;
