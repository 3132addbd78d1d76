/**
 * One actors process among others: owns its share of the shards, keeps an owner running for each, and renews its hold
 * on them.
 *
 * A heartbeat renews this node's own row and the leases of its shards, drops an owner whose checkpoint is not where it
 * should be (I8, I9), and brings which nodes live. From that follows the share (`shardShare.ts`): a node below it claims
 * what is free (I16), a node above it hands the excess over. Nodes that see different nodes for a moment disagree only
 * about who should work, never about who may write. Other nodes are told of changes at once; where they do not hear of
 * it, their next heartbeat finds it.
 *
 * A node that does not reach the servers that counting needs lets its leases run out (`fitness.ts`).
 *
 * An owner that fails is dropped, and claimed again from its checkpoint after a pause that grows; the other shards go on.
 */
import type { LiveDelta, LiveRequest } from '../domain/aggregates.ts';
import type { Checkpoint, ShardToClaim } from '../domain/checkpoint.ts';
import { insist } from '../domain/insist.ts';
import { shardShare } from '../domain/shardShare.ts';
import { Fitness } from './fitness.ts';
import type { FoldMemory, Log, OwnershipChanges } from './ports.ts';
import { Restarts } from './restarts.ts';
import { FencedError, ShardActor, type ShardParts } from './shardActor.ts';
import { SingleRun } from './singleRun.ts';

const START_TRIES_MAX = 10;
const START_PAUSE_MS = 500;

export interface NodeParts extends Omit<ShardParts, 'memory'> {
  /** One name, one running process. */
  readonly name: string;
  readonly memoryOf: (shard: number, incarnation: string) => FoldMemory;
  readonly changes: OwnershipChanges;
  /** A new random word for each claim. */
  readonly newClaim: () => string;
  /** Whether the servers that counting needs answer just now. */
  readonly reachesServers: () => Promise<boolean>;
  readonly heartbeatMs: number;
  /** Milliseconds since the Unix epoch; only pauses are measured by it. */
  readonly clock: () => number;
}

interface Ownership {
  readonly actor: ShardActor;
  readonly sinceMs: number;
  /** It is on its way to another node. */
  leaving: boolean;
}

export class ActorNode {
  readonly #parts: NodeParts;
  readonly #log: Log;
  readonly #owners = new Map<number, Ownership>();
  readonly #running = new Set<Promise<void>>();
  readonly #restarts = new Restarts();
  readonly #draining = new AbortController();
  readonly #ended = new AbortController();
  // Side by side, so that a broker that does not answer costs no lease, and a silent stream no other shard.
  readonly #beats = new SingleRun(() => this.#telling('a heartbeat did not go through', () => this.#beat()));
  readonly #tends = new SingleRun(() => this.#telling('shards were not looked for', () => this.#tend()));
  readonly #listens = new SingleRun(() => this.#listen());
  readonly #fitness: Fitness;
  readonly #checks = new SingleRun(() => this.#fitness.check());
  /** The last heartbeat went out: who else lives is known. */
  #isKnown = false;
  /** The nodes that live, as the last heartbeat said. */
  #nodes: readonly string[] = [];

  constructor(parts: NodeParts) {
    this.#parts = parts;
    this.#log = parts.log;
    this.#fitness = new Fitness(parts);
  }

  /** Takes its shards for the first time, then keeps a heartbeat. @throws Error where a server does not answer */
  async start(): Promise<void> {
    await this.#tryHard(() => this.#beat());
    this.#isKnown = true;
    await this.#tryHard(() => this.#tend());
    const { changes } = this.#parts;
    changes.onChange(() => this.#soon());
    changes.announce();
    void this.#keepBeating();
  }

  /** The shards that this process owns now, in order. */
  get shards(): number[] {
    return [...this.#owners.keys()].sort((left, right) => left - right);
  }

  liveDeltas(request: LiveRequest): LiveDelta[] {
    return this.#actors().map((actor) => actor.liveDelta(request));
  }

  /**
   * Leaves the nodes that live, counts and flushes everything that is on the streams now, and gives each shard back as
   * soon as that is done. Leases are renewed until the last one is.
   */
  async drain(): Promise<void> {
    this.#draining.abort();
    await this.#beats.ask();
    // What was just being claimed is drained, too.
    await this.#tends.ask();
    // A shard whose stream does not answer is not held up for the others: what it has not flushed is counted again.
    await this.#eachShard('draining', this.#actors(), async (actor) => {
      const { lastSequence } = await this.#parts.streams.state(actor.shard).catch((error: unknown) => {
        actor.stop();
        throw error;
      });
      actor.drain(lastSequence);
    });
    await Promise.all(this.#running);
    this.#ended.abort();
  }

  /** A heartbeat's bound is short; a machine that starts many things at once may miss it a few times. */
  #tryHard(work: () => Promise<void>): Promise<void> {
    return insist(work, {
      timers: this.#parts.timers,
      pauseFirstMs: START_PAUSE_MS,
      pauseMaxMs: START_PAUSE_MS,
      triesMax: START_TRIES_MAX,
      check: () => undefined,
      onFailure: (error) => this.#log.warn({ err: error }, 'a server does not answer yet; trying again'),
    });
  }

  async #keepBeating(): Promise<void> {
    const { timers, heartbeatMs } = this.#parts;
    const ended = this.#ended.signal;
    for (;;) {
      await timers.pause(heartbeatMs, ended);
      if (ended.aborted) return;
      this.#soon();
    }
  }

  /** Beats, then sees to the shards as the nodes now are. */
  #soon(): void {
    if (this.#ended.signal.aborted) return;
    void this.#checks.ask();
    void this.#listens.ask();
    if (!this.#fitness.isFit) {
      this.#isKnown = false;
      return;
    }
    const wasKnown = this.#isKnown;
    this.#isKnown = true;
    void this.#beats.ask().then(() => {
      // After a silence the others are given a heartbeat's time to come back, too, before shares are reckoned.
      if (wasKnown) void this.#tends.ask();
    });
  }

  async #beat(): Promise<void> {
    const owners = this.#actors();
    const beats = owners.map((owner) => owner.heartbeat());
    const { held, nodes } = await this.#parts.ledger.renew(beats, !this.#draining.signal.aborted);
    this.#nodes = nodes;
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

  /** Comes to its share: hands over what is too much, claims what is free. */
  async #tend(): Promise<void> {
    const shards = await this.#parts.streams.list();
    if (this.#draining.signal.aborted) return;
    const share = shardShare(shards.length, this.#nodes, this.#parts.name);
    const staying = [...this.#owners.values()]
      .filter(({ leaving }) => !leaving)
      .sort((left, right) => left.actor.shard - right.actor.shard);
    for (const excess of staying.slice(share)) {
      excess.leaving = true;
      excess.actor.handOver();
    }
    if (staying.length < share) await this.#claim(shards, share - staying.length);
  }

  async #claim(shards: readonly number[], most: number): Promise<void> {
    const { streams, ledger, newClaim, clock } = this.#parts;
    const wanted: ShardToClaim[] = [];
    await this.#eachShard(
      'claiming',
      shards.filter((shard) => !this.#owners.has(shard)).map((shard) => ({ shard })),
      async ({ shard }) => {
        const { incarnation } = await streams.state(shard);
        const onlyTakeOver = this.#restarts.isWaiting(shard, clock());
        wanted.push({ shard, incarnation, claim: newClaim(), onlyTakeOver });
      },
    );
    if (wanted.length === 0 || this.#draining.signal.aborted) return;
    const claimed = await ledger.claim(wanted, most);
    for (const checkpoint of claimed) this.#own(checkpoint);
    if (claimed.length > 0)
      this.#log.info({ shards: claimed.map(({ shard }) => shard).join(' ') }, 'owns shards');
  }

  #own(checkpoint: Checkpoint): void {
    const { memoryOf, ...parts } = this.#parts;
    const memory = memoryOf(checkpoint.shard, checkpoint.incarnation);
    const actor = new ShardActor(checkpoint, { ...parts, memory });
    this.#owners.set(actor.shard, { actor, sinceMs: this.#parts.clock(), leaving: false });
    const run = actor
      .run()
      .then(
        () => this.#release(actor, checkpoint),
        (error: unknown) => this.#drop(actor, error),
      )
      .finally(() => this.#running.delete(run));
    this.#running.add(run);
  }

  /** Its owner ended in order: another node may take the shard at once. */
  async #release(actor: ShardActor, checkpoint: Checkpoint): Promise<void> {
    const { ledger, changes } = this.#parts;
    const { shard } = actor;
    if (this.#owners.get(shard)?.actor !== actor) return;
    this.#owners.delete(shard);
    await this.#telling('a shard was not given back; others take it when its lease has run out', async () => {
      await ledger.release(checkpoint);
      changes.announce();
      this.#log.info({ shard }, 'gave a shard back');
    });
  }

  #drop(actor: ShardActor, error: unknown): void {
    const { shard } = actor;
    const ownership = this.#owners.get(shard);
    if (ownership?.actor !== actor) return;
    this.#owners.delete(shard);
    const waitMs = this.#restarts.failed(shard, ownership.sinceMs, this.#parts.clock());
    this.#log.error(
      { shard, err: error, waitMs },
      'a shard is dropped; it is taken up again from its checkpoint',
    );
  }

  /** Where nothing is pending, counts are as fresh as the broker's clock. */
  #listen(): Promise<void> {
    return this.#eachShard('listening to', this.#actors(), (actor) => actor.listen());
  }

  /** Does `work` for each of them side by side; one that fails is logged and the others go on. */
  async #eachShard<T extends { readonly shard: number }>(
    doing: string,
    shards: readonly T[],
    work: (shard: T) => Promise<void>,
  ): Promise<void> {
    const failed: number[] = [];
    let reason: unknown;
    const outcomes = await Promise.allSettled(shards.map(work));
    for (const [index, outcome] of outcomes.entries()) {
      if (outcome.status === 'fulfilled') continue;
      failed.push(shards[index]?.shard ?? -1);
      reason ??= outcome.reason;
    }
    if (failed.length > 0)
      this.#log.warn({ shards: failed.join(' '), err: reason }, `${doing} shards failed`);
  }

  /** Does `work`; an error is logged, not fatal. */
  async #telling(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#log.warn({ err: error }, what);
    }
  }

  #actors(): ShardActor[] {
    return [...this.#owners.values()].map(({ actor }) => actor);
  }
}
