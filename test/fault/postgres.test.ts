/** PostgreSQL fails, goes back in time or refuses: counts and floor move together, and a flush may always be retried (I8). */
import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { promisify } from 'node:util';
import { type Client, DatabaseError } from 'pg';
import { describe, expect } from 'vitest';
import type { OwnServer } from '../support/ownServer.ts';
import type { Cluster } from './support/cluster.ts';
import { FaultGroup, type FaultScene } from './support/faultTest.ts';
import { onDatabase, readShards } from './support/ledger.ts';
import { byLength, DOWN_MS, KILLS } from './support/length.ts';
import type { Load } from './support/load.ts';
import { COMMITTED } from './support/postgresReplies.ts';
import { waitFor } from './support/waitFor.ts';

/** What the log says of a flush that PostgreSQL ended. */
const DEADLOCK = /"shard":.*"code":"40P01"/g;
const CONFLICT = /"shard":.*"code":"40001"/g;

const run = promisify(execFile);

/** How far back a restored PostgreSQL is. */
const BACK_MS = byLength(3_000, 60_000);

describe('PostgreSQL', () => {
  const faults = new FaultGroup();

  faults.test('down for a while', async ({ cluster, load }) => {
    load.start();
    await load.flowing();
    await cluster.servers.postgres.kill();
    await Bun.sleep(DOWN_MS);
    await startAgain(cluster.servers.postgres);
  });

  faults.test('half-open: connections stand, nothing goes through', async ({ cluster, load }) => {
    load.start();
    await load.flowing();
    cluster.links.actorsPostgres.stall();
    cluster.links.gatewayPostgres.stall();
    await Bun.sleep(DOWN_MS);
  });

  faults.test('crashes and starts again, again and again', async ({ cluster, load }) => {
    load.start();
    for (let crash = 0; crash < KILLS; crash += 1) {
      await load.flowing();
      await cluster.servers.postgres.kill();
      await startAgain(cluster.servers.postgres);
    }
  });

  faults.test('the connection is cut after the commit, before its answer', async ({ cluster, load }) => {
    const { actorsPostgres } = cluster.links;
    load.start();
    for (let cut = 0; cut < KILLS; cut += 1) {
      await load.flowing();
      expect(await actorsPostgres.loseReply('store-flush').swallowed).toContain(COMMITTED);
      actorsPostgres.reset();
    }
  });

  faults.test('connections are cut again and again', async ({ cluster, load }) => {
    load.start();
    for (let cut = 0; cut < KILLS * 10; cut += 1) {
      await load.flowing(100);
      cluster.links.actorsPostgres.reset();
    }
  });

  faults.test('a flush is the victim of a deadlock', async ({ cluster, load }) => {
    const node = cluster.node('actors-1');
    const before = node.log.length;
    load.start();
    await load.flowing(2_000);
    while (count(node.log.slice(before), DEADLOCK) < KILLS) {
      await load.flowing();
      await onDatabase(cluster, (rival) => deadlockWithFlush(cluster, load, rival));
    }
  });

  faults.test('a flush cannot be serialized', async ({ cluster, load, afterwards }) => {
    const node = cluster.node('actors-1');
    const before = node.log.length;
    await isolate(cluster, 'serializable');
    afterwards(() => isolate(cluster, 'read committed'));
    load.start();
    while (count(node.log.slice(before), CONFLICT) < KILLS) {
      await load.flowing();
      await onDatabase(cluster, (rival) => conflictWithFlush(cluster, rival));
    }
  });

  faults.test("the day's partition is not there", async ({ cluster, load, afterwards }) => {
    const before = cluster.node('actors-1').log.length;
    load.start();
    for (let gap = 0; gap < KILLS; gap += 1) {
      await load.flowing(2_000);
      await onDatabase(cluster, detachDays);
    }
    await load.flowing();
    afterwards(() => expect(cluster.node('actors-1').log.slice(before)).toMatch(/"code":"23514"/));
  });

  faults.test('restored to an earlier state while everything runs', (scene) => goBack(scene));

  faults.test('restored to a state from before a take-over', (scene) =>
    goBack(scene, async () => {
      // Its epoch is one that will be given again.
      await scene.cluster.node('actors-1').kill();
      await scene.cluster.startNode('actors-1');
      await scene.load.flowing();
    }),
  );
});

/** Puts back a copy of the files that was made a while ago, and what `meanwhile` did is unknown to it. */
async function goBack(
  { cluster, load, afterwards }: FaultScene,
  meanwhile: () => Promise<void> = async () => undefined,
): Promise<void> {
  const { servers, links } = cluster;
  load.start();
  await load.flowing();
  await waitFor('something is counted', async () => (await onDatabase(cluster, sumOfFloors)) > 0);
  const backup = await backUp(servers.postgres);
  await load.flowing();
  await meanwhile();
  const node = cluster.node('actors-1');
  const before = node.log.length;
  await Bun.sleep(BACK_MS);
  const floor = await onDatabase(cluster, sumOfFloors);
  links.actorsPostgres.stall();
  await restore(servers.postgres, backup);
  // Nobody has written yet what the copy does not have.
  expect(await onDatabase(cluster, sumOfFloors)).toBeLessThan(floor);
  links.actorsPostgres.heal();
  await load.flowing();
  afterwards(() => expect(node.log.slice(before)).toMatch(/is fenced|is not at epoch/));
}

function count(text: string, pattern: RegExp): number {
  return text.match(pattern)?.length ?? 0;
}

/**
 * Locks an ad's counts, waits until the flush of the ad's shard, which has moved its checkpoint, waits for them, and
 * then wants that checkpoint.
 */
async function deadlockWithFlush(cluster: Cluster, load: Load, rival: Client): Promise<void> {
  const [adId] = load.plan.adIds;
  const shard = load.shardOf.get(adId ?? '');
  // The one whose own wait reaches its limit first looks for a deadlock and gives up; a flush has the default of 1 s.
  await rival.query(`set deadlock_timeout = '3s'`);
  await rival.query('begin');
  await rival.query('select from ad_minute where ad_id = $1 order by minute for update', [adId]);
  await waitFor('a flush waits', () => onDatabase(cluster, isFlushWaiting));
  try {
    await rival.query('select from shard where shard = $1 for update', [shard]);
  } catch (error) {
    // It came too late: the flush had looked already. The caller makes another one.
    if (!(error instanceof DatabaseError) || error.code !== '40P01') throw error;
  }
  await rival.query('rollback');
}

/** Changes the checkpoints under a flush that waits for one of them. */
async function conflictWithFlush(cluster: Cluster, rival: Client): Promise<void> {
  await rival.query('begin isolation level read committed');
  await rival.query('update shard set arrived_through_ms = arrived_through_ms');
  await waitFor('a flush waits', () => onDatabase(cluster, isFlushWaiting));
  await rival.query('commit');
}

/**
 * To be asked on a connection of its own: a transaction sees the activity of its first look for ever. PostgreSQL shows the
 * first 1,024 bytes of a statement.
 */
async function isFlushWaiting(client: Client): Promise<boolean> {
  const { rowCount } = await client.query(
    `select from pg_stat_activity where wait_event_type = 'Lock' and query like '%update shard set floor%'`,
  );
  return (rowCount ?? 0) > 0;
}

/** New connections of the processes have this isolation. */
async function isolate(cluster: Cluster, level: 'serializable' | 'read committed'): Promise<void> {
  await onDatabase(cluster, async (client) => {
    await client.query(`alter database clickledger set default_transaction_isolation = '${level}'`);
  });
  cluster.links.actorsPostgres.reset();
}

/** Takes every day's partition away, once a flush has brought one back; the tables stay beside. */
async function detachDays(client: Client): Promise<void> {
  await waitFor('a partition is attached', async () => {
    const { rows } = await client.query<{ name: string }>(
      `select inhrelid::regclass::text as name from pg_inherits where inhparent = 'ad_minute'::regclass`,
    );
    for (const { name } of rows) await client.query(`alter table ad_minute detach partition ${name}`);
    return rows.length > 0;
  });
}

/** A server that was killed refuses to start for as long as its orphaned backends have not noticed. */
async function startAgain(postgres: OwnServer): Promise<void> {
  await waitFor('PostgreSQL starts again', async () => {
    await postgres.restart();
    return true;
  });
}

/** A copy of the files as they are now, made while the server is down for a moment. */
async function backUp(postgres: OwnServer): Promise<string> {
  const copy = `${postgres.directory}-copy`;
  await postgres.halt();
  await rm(copy, { recursive: true, force: true });
  await copyFiles(postgres.directory, copy);
  await postgres.restart();
  return copy;
}

/** Puts the copy in the place of the files. */
async function restore(postgres: OwnServer, copy: string): Promise<void> {
  await postgres.halt();
  await rm(postgres.directory, { recursive: true });
  await copyFiles(copy, postgres.directory);
  await postgres.restart();
}

/** With their owner, who is not the one who copies. */
async function copyFiles(from: string, to: string): Promise<void> {
  await run('cp', ['-a', from, to]);
}

async function sumOfFloors(client: Client): Promise<number> {
  return (await readShards(client)).reduce((sum, { floor }) => sum + floor, 0);
}
