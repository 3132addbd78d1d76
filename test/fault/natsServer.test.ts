/** nats-server fails: what was answered is on its disk, and what was not is sent again. */
import { DiscardPolicy, type JetStreamManager } from 'nats';
import { describe } from 'vitest';
import { clickStream } from '../../src/adapters/nats/clickStreams.ts';
import { FaultGroup } from './support/faultTest.ts';
import { DOWN_MS, KILLS } from './support/length.ts';
import { onNats } from './support/streams.ts';

const FULL_SHARD = 1;
const ROOM_BYTES = 2_000;

describe('nats-server', () => {
  const faults = new FaultGroup();

  faults.test('SIGKILL again and again under load', async ({ cluster, load }) => {
    load.start();
    for (let kill = 0; kill < KILLS; kill += 1) {
      await load.flowing();
      await cluster.servers.nats.kill();
      await cluster.servers.nats.restart();
    }
  });

  faults.test('away for a while', async ({ cluster, load }) => {
    load.start();
    await load.flowing();
    await cluster.servers.nats.kill();
    await Bun.sleep(DOWN_MS);
    await cluster.servers.nats.restart();
  });

  faults.test('half-open: connections stand, nothing goes through', async ({ cluster, load }) => {
    load.start();
    await load.flowing();
    cluster.links.gatewayNats.stall();
    cluster.links.actorsNats.stall();
    await Bun.sleep(DOWN_MS);
  });

  faults.test('a stream is full and refuses, later it has room again', async ({ cluster, load }) => {
    load.start();
    await load.flowing();
    await onNats(cluster, async (manager) => {
      const { state } = await manager.streams.info(clickStream(FULL_SHARD));
      await limit(manager, state.bytes + ROOM_BYTES);
      await cluster.gateway.logged(/maximum bytes exceeded/);
      await Bun.sleep(DOWN_MS);
      await limit(manager, -1);
    });
  });

  async function limit(manager: JetStreamManager, bytes: number): Promise<void> {
    await manager.streams.update(clickStream(FULL_SHARD), { max_bytes: bytes, discard: DiscardPolicy.New });
  }
});
