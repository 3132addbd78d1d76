/** An actors process of the simulation: the real node over simulated connections. */
import { ActorNode } from '../../src/actors/node.ts';
import type { ClickStreams, FoldMemory, Ledger, OwnershipChanges } from '../../src/actors/ports.ts';
import type { Routing } from '../../src/domain/shardStreams.ts';
import type { StreamMessage } from '../../src/domain/streamMessage.ts';
import { SimProcess } from './simProcess.ts';
import type { World } from './world.ts';

const HEARTBEAT_MS = 2_000;
const LEASE_MS = 5_000;
const FLUSH_INTERVAL_MS = 1_500;

export class SimNode {
  readonly process: SimProcess;
  /** Another node said that shards or nodes came or went. */
  hearOfChange: () => void = () => undefined;
  readonly #node: ActorNode;
  readonly #world: World;

  /** @param onEnd hears of a start that failed; a process that cannot start ends */
  constructor(name: string, world: World, onEnd: (error: unknown) => void) {
    this.#world = world;
    this.process = new SimProcess(name, world.scheduler);
    this.#node = new ActorNode({
      name,
      changes: this.#changes(),
      streams: this.#streams(),
      routing: this.#routing(),
      ledger: this.#ledger(),
      memoryOf: (shard, incarnation) => this.#memory(shard, incarnation),
      log: world.logOf(name),
      newGeneration: () => world.newName('generation'),
      newClaim: () => world.newName('claim'),
      reachesServers: async () => {
        await this.process.timers.pause(1);
        return !['nats' as const, 'redis' as const].some((system) =>
          world.network.isAway(this.process, system),
        );
      },
      flushIntervalMs: FLUSH_INTERVAL_MS,
      heartbeatMs: HEARTBEAT_MS,
      clock: () => world.scheduler.nowMs,
      timers: this.process.timers,
    });
    this.#node.start().catch(onEnd);
  }

  /** The shards that it thinks it owns. */
  get shards(): readonly number[] {
    return this.#node.shards;
  }

  /** Ends in order (SIGTERM). */
  drain(): void {
    this.#node.drain().then(
      () => this.process.kill(),
      () => this.process.kill(),
    );
  }

  /** Word among nodes comes late, or never. */
  #changes(): OwnershipChanges {
    const world = this.#world;
    return {
      announce: () => {
        for (const { process, hearOfChange } of world.liveNodes) {
          if (process === this.process || world.network.isLost()) continue;
          process.later(world.random.below(50), () => hearOfChange());
        }
      },
      onChange: (heard) => {
        this.hearOfChange = heard;
      },
    };
  }

  #streams(): ClickStreams {
    const { network, streams, random } = this.#world;
    const { process } = this;
    return {
      list: () => network.call(process, 'nats', 'list', () => streams.list()),
      state: (shard) => network.call(process, 'nats', 'state', () => streams.state(shard)),
      firstSequenceAt: (shard, incarnation, timeMs) =>
        network.call(process, 'nats', 'firstSequenceAt', () =>
          streams.firstSequenceAt(shard, incarnation, timeMs),
        ),
      decode: (bytes) => streams.decode(bytes),
      async *read(shard, incarnation, from, stop, through): AsyncGenerator<StreamMessage> {
        for await (const message of streams.read(shard, incarnation, from, stop, through)) {
          await network.delivery(process);
          // A consumer that was lost and made anew may leave a message out, or bring one again. The reader sees to it
          // that the last one comes in the end.
          const isLast = message.sequence === streams.messages(shard).at(-1)?.sequence;
          if (!isLast && random.chance(network.weather.lostReply / 10)) continue;
          yield message;
          if (random.chance(network.weather.twice / 10)) yield message;
        }
      },
    };
  }

  #routing(): Routing {
    const routing = this.#world.routingStream.open();
    routing.trouble.decide = (operation, border) =>
      this.#world.network.border(this.process, 'nats', `routing ${operation} ${border}`);
    return routing;
  }

  #ledger(): Ledger {
    const { network, ledger } = this.#world;
    const { process } = this;
    const own = ledger.of(process.name, LEASE_MS);
    return {
      claim: (shards, most) => network.call(process, 'postgres', 'claim', () => own.claim(shards, most)),
      renew: (beats, lives) => network.call(process, 'postgres', 'renew', () => own.renew(beats, lives)),
      store: async (flush) => {
        const united = await network.call(process, 'postgres', 'unite', () => own.unite(flush));
        return network.call(process, 'postgres', 'store', () => own.storeUnited(flush, united));
      },
      release: (hold) => network.call(process, 'postgres', 'release', () => own.release(hold)),
    };
  }

  #memory(shard: number, incarnation: string): FoldMemory {
    const world = this.#world;
    const { network, folds } = world;
    const { process } = this;
    const memory = folds.of(shard, incarnation);
    return {
      fold: (sequence, timestampMs, records, floor, purpose) =>
        network.call(process, 'redis', `fold ${shard}/${sequence} ${purpose}`, () =>
          memory.fold(sequence, timestampMs, records, floor, purpose),
        ),
      reset: (generation, through, warm) => {
        world.onReset(process);
        return network.call(process, 'redis', `reset ${shard} through ${through} warm ${warm}`, () =>
          memory.reset(generation, through, warm),
        );
      },
    };
  }
}
