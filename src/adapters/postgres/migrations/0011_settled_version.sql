-- Up Migration

-- What answers from settled counts are remembered by: for each UTC day and each of 64 slots of ads (a hash of ad_id,
-- src/adapters/postgres/settledVersion.ts) a random word that every change of a watched minute replaces, in its own
-- transaction. No row: nothing was changed yet. A word and no number: a ledger that was set back would come to the same
-- number again with other counts.
create table settled_version (
  day timestamptz not null,
  slot smallint not null check (slot between 0 and 63),
  word bigint not null,
  primary key (day, slot)
);

-- Tells who remembers, with the commit, as `<day, seconds since 1970> <slot>`. Only to free memory: nobody's answer is
-- right because of it.
create function tell_settled_version() returns trigger language plpgsql as $$
begin
  perform pg_notify('settled_version', extract(epoch from new.day)::bigint || ' ' || new.slot);
  return null;
end
$$;
create trigger settled_version_told after insert or update on settled_version
  for each row execute function tell_settled_version();
