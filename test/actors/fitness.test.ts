/** A node that cannot count keeps nobody else from it; where none can, everybody keeps what they have. */
import { expect, it } from 'vitest';
import { Cluster, LEASE_MS } from '../support/cluster.ts';
import { turns, until } from '../support/until.ts';

const UNFIT_AFTER_MS = 5_000;

/** Time goes by in steps that no lease notices, whoever beats. */
async function pass(cluster: Cluster, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 500) {
    cluster.nowMs += 500;
    await Bun.sleep(3);
  }
}

it('a node that does not reach the servers leaves its shards to the others, and takes part again later', async () => {
  const cluster = new Cluster(6);
  await Promise.all(['node-1', 'node-2'].map((name) => cluster.node(name).start()));
  expect(await cluster.settled('node-1', 'node-2')).toEqual([3, 3]);
  cluster.cutOff.add('node-1');
  await pass(cluster, UNFIT_AFTER_MS + LEASE_MS + 1_000);
  await until(() => cluster.owners.get('node-2')?.length === 6, 'node-2 owns all');
  cluster.cutOff.delete('node-1');
  expect(await cluster.settled('node-1', 'node-2')).toEqual([3, 3]);
  for (const shard of [0, 1, 2, 3, 4, 5]) cluster.click(shard);
  await until(() => cluster.valid === 6);
});

it('servers that are away for a moment cost no node its shards', async () => {
  const cluster = new Cluster(4);
  await Promise.all(['node-1', 'node-2'].map((name) => cluster.node(name).start()));
  await cluster.settled('node-1', 'node-2');
  const epochs = () => [...cluster.ledger.shards.values()].map(({ epoch }) => epoch);
  const before = epochs();
  cluster.cutOff.add('node-1');
  await pass(cluster, UNFIT_AFTER_MS - 1_000);
  cluster.cutOff.clear();
  await pass(cluster, LEASE_MS + UNFIT_AFTER_MS);
  expect(epochs()).toEqual(before);
});

it('servers that are away from all nodes for long leave every shard where it is', async () => {
  const cluster = new Cluster(4);
  await Promise.all(['node-1', 'node-2'].map((name) => cluster.node(name).start()));
  await cluster.settled('node-1', 'node-2');
  const epochs = () => [...cluster.ledger.shards.values()].map(({ epoch }) => epoch);
  const before = epochs();
  cluster.cutOff.add('node-1').add('node-2');
  await pass(cluster, 20_000);
  expect([...cluster.ledger.nodes.values()].every((untilMs) => untilMs < cluster.nowMs)).toBe(true);
  cluster.cutOff.clear();
  await until(() => [...cluster.ledger.nodes.values()].every((untilMs) => untilMs >= cluster.nowMs));
  await turns(50);
  expect(epochs()).toEqual(before);
});
