-- Up Migration

-- The actors processes that live: each renews its row at its heartbeats, and takes its share of the shards by how many
-- there are. A row whose lease has run out is a process that died.
create table actor_node (
  node text collate "C" primary key,
  lease_until timestamptz not null
);
