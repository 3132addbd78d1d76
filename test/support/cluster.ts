/** Actors processes around one ledger, one broker and one Redis, all in memory, with a clock that the test moves. */
import { onTestFinished } from 'vitest';
import { ActorNode } from '../../src/actors/node.ts';
import type { Ledger } from '../../src/actors/ports.ts';
import { encodeClickBatch, encodeClickRecord } from '../../src/adapters/nats/clickBatchCodec.ts';
import { systemTimers } from '../../src/adapters/system/timers.ts';
import { NOON_MS, RULES, recordOf, uuid7At } from './clicks.ts';
import { MemoryChanges } from './memoryChanges.ts';
import { MemoryFolds } from './memoryFold.ts';
import { MemoryLedger } from './memoryLedger.ts';
import { type MemoryRoutingLog, MemoryRoutingStream } from './memoryRouting.ts';
import { MemoryStreams } from './memoryStream.ts';
import { SilentLog } from './silentLog.ts';
import { LostConnection } from './trouble.ts';
import { until } from './until.ts';

export const HEARTBEAT_MS = 1;
export const LEASE_MS = 3_000;
export const SHARDS = 3;

export class Cluster {
  nowMs = NOON_MS;
  readonly routing: MemoryRoutingLog;
  readonly streams = new MemoryStreams(() => this.nowMs);
  readonly ledger = new MemoryLedger(() => this.nowMs);
  readonly folds = new MemoryFolds(RULES.dedupHorizonMs);
  readonly changes = new MemoryChanges();
  readonly log = new SilentLog();
  /** Ads that were clicked. */
  readonly adIds = new Set<string>();
  /** Nodes that do not reach the broker and Redis. */
  readonly cutOff = new Set<string>();
  #clicks = 0;
  #generations = 0;
  #claims = 0;

  readonly #nodes = new Map<string, ActorNode>();
  readonly #crashed = new Set<string>();

  constructor(shards = SHARDS) {
    this.routing = new MemoryRoutingStream(shards, RULES).open();
    this.streams.ensure(shards);
  }

  node(name: string, flushIntervalMs = 1, heartbeatMs = HEARTBEAT_MS): ActorNode {
    const node = new ActorNode({
      name,
      changes: this.changes.of(name),
      streams: this.streams,
      routing: this.routing,
      ledger: this.#ledgerOf(name),
      memoryOf: (shard, incarnation) => this.folds.of(shard, incarnation),
      log: this.log,
      timers: systemTimers,
      newGeneration: () => `generation-${++this.#generations}`,
      newClaim: () => `claim-${++this.#claims}`,
      reachesServers: () => Promise.resolve(!this.cutOff.has(name)),
      flushIntervalMs,
      heartbeatMs,
      clock: () => this.nowMs,
    });
    onTestFinished(async () => {
      this.streams.silent.clear();
      this.streams.trouble.mend();
      this.ledger.trouble.mend();
      this.#crashed.delete(name);
      await node.drain();
    });
    this.#nodes.set(name, node);
    return node;
  }

  /** The stream of this shard cannot be read, until what is returned is called. */
  breakReading(shard: number): () => void {
    const read = this.streams.read.bind(this.streams);
    this.streams.read = async function* (...given) {
      if (given[0] === shard) throw new Error('this stream cannot be read');
      yield* read(...given);
    };
    return () => {
      this.streams.read = read;
    };
  }

  /** Nothing of what this node does reaches the ledger from now on; it does not hear of it. */
  crash(name: string): void {
    this.#crashed.add(name);
  }

  /** It wakes up, as a machine that was paused. */
  wake(name: string): void {
    this.#crashed.delete(name);
  }

  #ledgerOf(name: string): Ledger {
    const { claim, renew, store, release } = this.ledger.of(name, LEASE_MS);
    const reached = <A extends unknown[], T>(call: (...given: A) => Promise<T>) => {
      return (...given: A) =>
        this.#crashed.has(name) ? Promise.reject(new LostConnection(`${name} crashed`)) : call(...given);
    };
    return { claim: reached(claim), renew: reached(renew), store: reached(store), release: reached(release) };
  }

  /**
   * Time goes by as it does for nodes that beat: none of those that live is late, nor one that drains.
   * @param leaving the name of a node that drains
   */
  async pass(ms: number, leaving = ''): Promise<void> {
    for (let left = ms; left > 0; left -= LEASE_MS / 3) {
      this.nowMs += Math.min(left, LEASE_MS / 3);
      const nowMs = this.nowMs;
      await until(() =>
        [...this.ledger.nodes].every(
          ([name, untilMs]) => this.#crashed.has(name) || untilMs >= nowMs + LEASE_MS,
        ),
      );
      await until(() =>
        [...this.ledger.shards.values()].every(
          ({ owner, leaseUntilMs }) => owner !== leaving || leaseUntilMs >= nowMs + LEASE_MS,
        ),
      );
    }
  }

  /** The owners' shards by the nodes' names, as the ledger has them; undefined: nobody's. */
  get owners(): Map<string | undefined, number[]> {
    const owners = new Map<string | undefined, number[]>();
    for (const [shard, { owner }] of this.ledger.shards)
      owners.set(
        owner,
        [...(owners.get(owner) ?? []), shard].sort((left, right) => left - right),
      );
    return owners;
  }

  /** How many shards each of these nodes owns, once they own all and the ledger says the same as they do. */
  async settled(...names: string[]): Promise<number[]> {
    const counts = () => names.map((name) => this.owners.get(name)?.length ?? 0);
    await until(
      () => {
        const sum = counts().reduce((total, count) => total + count, 0);
        const agree = names.every(
          (name) => String(this.#nodes.get(name)?.shards) === String(this.owners.get(name) ?? []),
        );
        const isEven = Math.max(...counts()) - Math.min(...counts()) <= 1;
        return sum === this.ledger.shards.size && agree && isEven;
      },
      `an even spread over ${names.join(', ')}`,
    );
    return counts();
  }

  /** Publishes one click on an ad of this shard. */
  click(shard: number): void {
    for (let ad = 0; ; ad++) {
      this.#clicks += 1;
      const click = recordOf({
        adId: `ad-${ad}`,
        clickId: uuid7At(NOON_MS, this.#clicks),
        impressionId: uuid7At(NOON_MS, this.#clicks),
      });
      if (this.routing.table.route(click) !== shard) continue;
      this.adIds.add(click.adId);
      this.streams.append(shard, encodeClickBatch(1, [encodeClickRecord(click)]), this.nowMs);
      return;
    }
  }

  get valid(): number {
    return [...this.ledger.counts.values()].reduce((sum, { valid }) => sum + valid, 0);
  }

  /** How long the drops of a shard made it wait, in order. */
  pauses(shard: number): number[] {
    return this.log.lines
      .map(({ facts }) => facts as { shard?: number; waitMs?: number })
      .filter((facts) => facts.shard === shard && facts.waitMs !== undefined)
      .map(({ waitMs }) => waitMs ?? 0);
  }
}
