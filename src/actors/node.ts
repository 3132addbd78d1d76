/**
 * One actors process: owns the shards that it can get, keeps an owner running for each, and renews its hold on them.
 *
 * At every heartbeat it claims shards that have no owner (I16), renews the leases of its own, and drops an owner whose
 * checkpoint is not where it should be (I8, I9). An owner that fails is dropped, and claimed again from its checkpoint
 * after a pause that grows; the other shards go on.
 */
import type { LiveDelta, LiveRequest } from '../domain/aggregates.ts';
import type { Checkpoint, ShardToClaim } from '../domain/checkpoint.ts';
import type { FoldMemory, Log } from './ports.ts';
import { FencedError, ShardActor, type ShardParts } from './shardActor.ts';

const RESTART_FIRST_MS = 250;
const RESTART_MAX_MS = 10_000;

export interface NodeParts extends Omit<ShardParts, 'memory'> {
  readonly memoryOf: (shard: number, incarnation: string) => FoldMemory;
  /** A new random word for each claim. */
  readonly newClaim: () => string;
  readonly heartbeatMs: number;
  /** Milliseconds since the Unix epoch; only pauses are measured by it. */
  readonly clock: () => number;
}

interface Ownership {
  readonly actor: ShardActor;
  readonly sinceMs: number;
}

interface Failure {
  readonly waitMs: number;
  readonly notBeforeMs: number;
}

export class ActorNode {
  readonly #parts: NodeParts;
  readonly #log: Log;
  readonly #owners = new Map<number, Ownership>();
  readonly #running = new Set<Promise<void>>();
  readonly #failures = new Map<number, Failure>();
  readonly #draining = new AbortController();
  #beating: Promise<void> = Promise.resolve();

  constructor(parts: NodeParts) {
    this.#parts = parts;
    this.#log = parts.log;
  }

  /** Takes its shards for the first time, then keeps a heartbeat. */
  async start(): Promise<void> {
    await this.#claim();
    this.#beating = this.#keepBeating();
  }

  /** The shards that this process owns now, in order. */
  get shards(): number[] {
    return [...this.#owners.keys()].sort((left, right) => left - right);
  }

  liveDeltas(request: LiveRequest): LiveDelta[] {
    return this.#actors().map((actor) => actor.liveDelta(request));
  }

  /** Counts and flushes everything that is on the streams now, then gives the shards back. */
  async drain(): Promise<void> {
    this.#draining.abort();
    await this.#beating;
    // A shard whose stream does not answer is not held up for the others: what it has not flushed is counted again.
    await this.#eachShard('draining', this.#actors(), async (actor) => {
      const { lastSequence } = await this.#parts.streams.state(actor.shard).catch((error: unknown) => {
        actor.stop();
        throw error;
      });
      actor.drain(lastSequence);
    });
    await Promise.all(this.#running);
    await this.#parts.ledger.release();
  }

  async #keepBeating(): Promise<void> {
    const { timers, heartbeatMs } = this.#parts;
    const draining = this.#draining.signal;
    for (;;) {
      await timers.pause(heartbeatMs, draining);
      if (draining.aborted) return;
      await this.#beat();
    }
  }

  async #beat(): Promise<void> {
    try {
      await this.#renew();
      await this.#claim();
      await this.#listen();
    } catch (error) {
      this.#log.warn({ err: error }, 'a heartbeat did not go through');
    }
  }

  async #renew(): Promise<void> {
    const owners = this.#actors();
    if (owners.length === 0) return;
    const beats = owners.map((owner) => owner.heartbeat());
    const held = await this.#parts.ledger.renew(beats);
    for (const [index, owner] of owners.entries()) {
      const beat = beats[index];
      if (beat === undefined || held.has(owner.shard) || !owner.isStillAt(beat)) continue;
      // Its run may still wait for an answer; nothing that it does counts any more.
      owner.stop();
      this.#drop(
        owner,
        new FencedError(`shard ${owner.shard} is not at epoch ${beat.epoch}, floor ${beat.floor} any more`),
      );
    }
  }

  /** Takes over what nobody owns. */
  async #claim(): Promise<void> {
    const { streams, ledger, newClaim, clock } = this.#parts;
    const nowMs = clock();
    const free = (await streams.list()).filter(
      (shard) => !this.#owners.has(shard) && (this.#failures.get(shard)?.notBeforeMs ?? 0) <= nowMs,
    );
    if (free.length === 0) return;
    const wanted: ShardToClaim[] = [];
    await this.#eachShard(
      'claiming',
      free.map((shard) => ({ shard })),
      async ({ shard }) => {
        const { incarnation } = await streams.state(shard);
        wanted.push({ shard, incarnation, claim: newClaim() });
      },
    );
    if (wanted.length === 0) return;
    const claimed = await ledger.claim(wanted);
    for (const checkpoint of claimed) this.#own(checkpoint);
    if (claimed.length > 0)
      this.#log.info({ shards: claimed.map(({ shard }) => shard).join(' ') }, 'owns shards');
  }

  #own(checkpoint: Checkpoint): void {
    const { memoryOf, ...parts } = this.#parts;
    const memory = memoryOf(checkpoint.shard, checkpoint.incarnation);
    const actor = new ShardActor(checkpoint, { ...parts, memory });
    this.#owners.set(actor.shard, { actor, sinceMs: this.#parts.clock() });
    const run = actor
      .run()
      .catch((error: unknown) => this.#drop(actor, error))
      .finally(() => this.#running.delete(run));
    this.#running.add(run);
  }

  #drop(actor: ShardActor, error: unknown): void {
    const { shard } = actor;
    const ownership = this.#owners.get(shard);
    if (ownership?.actor !== actor) return;
    this.#owners.delete(shard);
    const nowMs = this.#parts.clock();
    // Only failures that follow each other closely make the pause grow.
    const before = nowMs - ownership.sinceMs < RESTART_MAX_MS ? this.#failures.get(shard) : undefined;
    const waitMs = before === undefined ? RESTART_FIRST_MS : Math.min(before.waitMs * 2, RESTART_MAX_MS);
    this.#failures.set(shard, { waitMs, notBeforeMs: nowMs + waitMs });
    this.#log.error(
      { shard, err: error, waitMs },
      'a shard is dropped; it is taken up again from its checkpoint',
    );
  }

  /** Where nothing is pending, counts are as fresh as the broker's clock. */
  async #listen(): Promise<void> {
    await this.#eachShard('listening to', this.#actors(), (actor) => actor.listen());
  }

  /** Does `work` for each of them side by side; one that fails is logged and the others go on. */
  async #eachShard<T extends { readonly shard: number }>(
    doing: string,
    shards: readonly T[],
    work: (shard: T) => Promise<void>,
  ): Promise<void> {
    const outcomes = await Promise.allSettled(shards.map(work));
    for (const [index, outcome] of outcomes.entries()) {
      if (outcome.status === 'fulfilled') continue;
      this.#log.warn({ shard: shards[index]?.shard, err: outcome.reason }, `${doing} a shard failed`);
    }
  }

  #actors(): ShardActor[] {
    return [...this.#owners.values()].map(({ actor }) => actor);
  }
}
