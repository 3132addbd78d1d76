-- Up Migration

-- Clicks that were judged again by another rule set than the one by which they were counted. Written before the first
-- window of the run is restated; of several for one click the one of the last run rules.
create table reclassification (
  run bigint primary key,
  rule_set_version integer not null,
  -- By the time inside the click_id, half-open; null: from the first click on.
  range_from timestamptz,
  range_to timestamptz not null,
  -- null: of every ad.
  ads text[],
  decided_at timestamptz not null default clock_timestamp()
);
