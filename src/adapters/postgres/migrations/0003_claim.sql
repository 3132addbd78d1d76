-- Up Migration

-- The owner's random word, new at every take-over. PostgreSQL that goes back to an earlier state may give an epoch out
-- a second time, but never a word: flushes and heartbeats compare both (I9).
alter table shard add column claim uuid;
