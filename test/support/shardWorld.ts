/**
 * One shard with everything around its owner, in memory: stream, routing table, fold, ledger and a clock that the test
 * moves. Owners are started, killed and replaced in it; the stream stays.
 */

import type { Ledger } from '../../src/actors/ports.ts';
import { ShardActor } from '../../src/actors/shardActor.ts';
import { encodeClickBatch, encodeClickRecord } from '../../src/adapters/nats/clickBatchCodec.ts';
import { systemTimers } from '../../src/adapters/system/timers.ts';
import type { ClickRecord } from '../../src/domain/clickRecord.ts';
import type { RuleSet } from '../../src/domain/ruleSet.ts';
import { NOON_MS, RULES } from './clicks.ts';
import { MemoryFolds } from './memoryFold.ts';
import { MemoryLedger } from './memoryLedger.ts';
import { type MemoryRoutingLog, MemoryRoutingStream } from './memoryRouting.ts';
import { MemoryStreams } from './memoryStream.ts';
import { type NaiveCount, naiveCount } from './naiveCount.ts';
import { SilentLog } from './silentLog.ts';

export const LEASE_MS = 3_000;
/** No flush by itself within a test's life. */
export const NEVER_MS = 2 ** 30;

export interface RunningOwner {
  readonly actor: ShardActor;
  /** How its run ended: undefined where it ended in order. */
  readonly ended: Promise<unknown>;
}

export class ShardWorld {
  readonly shard = 0;
  /** The broker's and the gateways' clock; it may step back. */
  nowMs = NOON_MS;
  /** The database's clock, by which leases run out. */
  ledgerMs = NOON_MS;
  readonly rules: RuleSet;
  readonly routingStream: MemoryRoutingStream;
  readonly routing: MemoryRoutingLog;
  readonly streams: MemoryStreams;
  readonly ledger: MemoryLedger;
  readonly folds: MemoryFolds;
  readonly log = new SilentLog();
  #generations = 0;
  #claims = 0;

  constructor(rules: RuleSet = RULES, shards = 1) {
    this.rules = rules;
    this.routingStream = new MemoryRoutingStream(shards, rules);
    this.routing = this.routingStream.open();
    this.streams = new MemoryStreams(() => this.nowMs);
    this.ledger = new MemoryLedger(() => this.ledgerMs);
    this.folds = new MemoryFolds(rules.dedupHorizonMs);
    this.streams.ensure(shards);
  }

  /** Puts one message with these clicks on the stream. */
  publish(...records: ClickRecord[]): number {
    const bytes = encodeClickBatch(this.routing.table.sequence, records.map(encodeClickRecord));
    return this.streams.append(this.shard, bytes, this.nowMs);
  }

  /** Claims the shard for `name` and starts its owner; the owner before, if any, does not hear of it. */
  async own(name = 'node-1', flushIntervalMs = NEVER_MS): Promise<RunningOwner> {
    const ledger = this.ledger.of(name, LEASE_MS);
    const { incarnation } = await this.streams.state(this.shard);
    const claim = `claim-${++this.#claims}`;
    const wanted = { shard: this.shard, incarnation, claim, onlyTakeOver: false };
    const [checkpoint] = await ledger.claim([wanted], 1);
    if (checkpoint === undefined) throw new Error(`${name} could not claim the shard`);
    const actor = new ShardActor(checkpoint, { ...this.parts(ledger), flushIntervalMs });
    const ended = actor.run().then(
      () => undefined,
      (error: unknown) => error,
    );
    return { actor, ended };
  }

  parts(ledger: Ledger) {
    return {
      streams: this.streams,
      routing: this.routing,
      memory: this.folds.of(this.shard, 'made-1'),
      ledger,
      log: this.log,
      timers: systemTimers,
      newGeneration: () => `generation-${++this.#generations}`,
    };
  }

  get lastSequence(): number {
    return this.streams.messages(this.shard).at(-1)?.sequence ?? 0;
  }

  /** Counts what is on the stream to its end, flushes it and ends in order. */
  async drain(owner: RunningOwner): Promise<unknown> {
    owner.actor.drain(this.lastSequence);
    return owner.ended;
  }

  /** Lets the lease of an owner that is dead run out. */
  expireLease(): void {
    this.ledgerMs += LEASE_MS + 1;
  }

  expected(): NaiveCount {
    return naiveCount(this.streams.messages(this.shard), this.shard, this.routing.table);
  }
}
