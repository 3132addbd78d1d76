/**
 * A shard's owner: reads the shard's stream from the checkpoint on, asks the fold for each message's verdicts, hands
 * every click to its ad actor, and flushes what they counted together with the new floor.
 *
 * It owns what is counted beyond the floor (`shardCounts.ts`). It does not own the truth: the stream, the fold in Redis
 * and the checkpoint in PostgreSQL are elsewhere, so an owner that dies or is fenced is simply dropped, and its successor
 * starts at the checkpoint.
 *
 * I2: applies messages strictly by sequence, and only those of the stream that the checkpoint was made of. I8: counts
 * and floor leave in one flush, which may be retried for ever. I14: reading waits while the counts not yet flushed are
 * at their limit.
 */
import type { LiveDelta, LiveRequest } from '../domain/aggregates.ts';
import type { Checkpoint, Heartbeat } from '../domain/checkpoint.ts';
import type { DeadLetter } from '../domain/deadLetter.ts';
import type { Flush } from '../domain/flush.ts';
import { insist } from '../domain/insist.ts';
import type { JudgedMessage } from '../domain/judgedMessage.ts';
import { examineMessage, type Routing } from '../domain/shardStreams.ts';
import { StreamGapError, type StreamMessage } from '../domain/streamMessage.ts';
import { checkStream, type StreamPlace } from '../domain/streamPlace.ts';
import type { Timers } from '../domain/timers.ts';
import type { ClickStreams, FoldMemory, Ledger, Log } from './ports.ts';
import { ShardCounts } from './shardCounts.ts';
import { Verdicts } from './verdicts.ts';

const RETRY_PAUSE_FIRST_MS = 100;
const RETRY_PAUSE_MAX_MS = 5_000;

export interface ShardParts {
  readonly streams: ClickStreams;
  readonly routing: Routing;
  readonly memory: FoldMemory;
  readonly ledger: Ledger;
  readonly log: Log;
  readonly timers: Timers;
  readonly newGeneration: () => string;
  readonly flushIntervalMs: number;
}

/** Somebody else owns the shard, or the ledger went back: this owner's state is worth nothing (I8, I9). */
export class FencedError extends Error {
  override readonly name = 'FencedError';
}

export class ShardActor {
  readonly shard: number;
  readonly #parts: ShardParts;
  readonly #checkpoint: Checkpoint;
  readonly #verdicts: Verdicts;
  readonly #counts = new ShardCounts();
  readonly #stop = new AbortController();
  #floor: number;
  #applied: number;
  #streamTimeMs: number;
  #arrivedThroughMs: number;
  /** Where the flush under way moves the floor. */
  #flushingTo: number | undefined;
  #flush: Promise<void> = Promise.resolve();
  #drainThrough = Infinity;

  constructor(checkpoint: Checkpoint, parts: ShardParts) {
    this.shard = checkpoint.shard;
    this.#parts = parts;
    this.#checkpoint = checkpoint;
    this.#floor = checkpoint.floor;
    this.#applied = checkpoint.floor;
    this.#streamTimeMs = checkpoint.streamTimeMs;
    this.#arrivedThroughMs = checkpoint.arrivedThroughMs;
    this.#verdicts = new Verdicts({
      ...parts,
      shard: this.shard,
      incarnation: checkpoint.incarnation,
      horizonMs: parts.routing.table.rules.dedupHorizonMs,
      examine: (message) => this.#examine(message),
    });
  }

  /**
   * Counts until it is stopped or drained. @throws FencedError, StreamGapError, or what else broke; the state is
   * then worth nothing.
   */
  async run(): Promise<void> {
    checkStream(await this.#parts.streams.state(this.shard), this.#place());
    const stop = this.#stop.signal;
    try {
      await Promise.all([this.#readLoop(), this.#flushLoop()]);
    } catch (error) {
      // Being stopped breaks whatever was waiting; that is no failure.
      if (!stop.aborted || error instanceof FencedError) throw error;
    } finally {
      this.stop();
    }
    if (stop.reason instanceof StreamGapError) throw stop.reason;
  }

  /** Stops at once; what is not flushed is counted again by the next owner. */
  stop(reason: unknown = new Error('stopped')): void {
    this.#stop.abort(reason);
  }

  /** Counts everything that is on the stream up to `lastSequence`, flushes it and ends `run`. */
  drain(lastSequence: number): void {
    this.#drainThrough = lastSequence;
    if (this.#applied >= lastSequence) this.stop(DRAINED);
  }

  async #readLoop(): Promise<void> {
    const stop = this.#stop.signal;
    const { shard, incarnation, next } = this.#place();
    try {
      for await (const message of this.#parts.streams.read(shard, incarnation, next, stop)) {
        await this.#apply(message);
        if (this.#counts.isFull) await this.#flushNow();
        if (this.#applied >= this.#drainThrough) break;
      }
    } catch (error) {
      if (stop.reason !== DRAINED) throw error;
    }
    if (!stop.aborted || stop.reason === DRAINED) {
      await this.#flushNow();
      this.stop(DRAINED);
    }
  }

  async #flushLoop(): Promise<void> {
    const stop = this.#stop.signal;
    while (!stop.aborted) {
      await this.#parts.timers.pause(this.#parts.flushIntervalMs, stop);
      if (!stop.aborted) await this.#flushNow();
    }
  }

  #examine(message: StreamMessage): Promise<JudgedMessage> {
    const { streams, routing } = this.#parts;
    return examineMessage(message, this.shard, streams, routing);
  }

  async #apply(message: StreamMessage): Promise<void> {
    if (message.sequence !== this.#applied + 1) {
      throw new StreamGapError(
        `shard ${this.shard}: sequence ${message.sequence} came after ${this.#applied}`,
      );
    }
    const streamTimeMs = Math.max(this.#streamTimeMs, message.timestampMs);
    const judged = await this.#examine(message);
    const owner = { floor: this.#floor, streamTimeMs };
    const letters = await this.#verdicts.of(message, judged, owner, this.#stop.signal);
    // From here to the end nothing waits: a flush sees the whole message or nothing of it.
    this.#counts.count(judged, letters);
    for (const letter of judged.deadLetters) this.#report(letter);
    this.#applied = message.sequence;
    this.#streamTimeMs = streamTimeMs;
    this.#arrivedThroughMs = Math.max(this.#arrivedThroughMs, streamTimeMs);
  }

  #report({ sequence, index, reason }: DeadLetter): void {
    this.#parts.log.error(
      { shard: this.shard, sequence, index, reason },
      'a record cannot be judged; it is kept as a dead letter',
    );
  }

  /** Flushes everything applied so far; returns when it is stored. One flush at a time. */
  #flushNow(): Promise<void> {
    this.#flush = this.#flush.then(() => this.#flushOnce());
    return this.#flush;
  }

  async #flushOnce(): Promise<void> {
    if (this.#applied === this.#floor) return;
    const { table } = this.#parts.routing;
    const delta = this.#counts.beginFlush();
    const flush: Flush = {
      shard: this.shard,
      incarnation: this.#checkpoint.incarnation,
      epoch: this.#checkpoint.epoch,
      claim: this.#checkpoint.claim,
      floor: this.#floor,
      newFloor: this.#applied,
      streamTimeMs: this.#streamTimeMs,
      arrivedThroughMs: this.#arrivedThroughMs,
      ruleSetVersions: delta.rows.map(({ adId, minute }) => table.versionAt(adId, minute)),
      ...delta,
    };
    this.#flushingTo = flush.newFloor;
    await this.#store(flush);
    this.#floor = flush.newFloor;
    this.#flushingTo = undefined;
    this.#counts.flushed();
  }

  /** I8: tries until PostgreSQL says what became of the flush. */
  async #store(flush: Flush): Promise<void> {
    const { ledger, log, timers } = this.#parts;
    const stop = this.#stop.signal;
    const outcome = await insist(() => ledger.store(flush), {
      timers,
      pauseFirstMs: RETRY_PAUSE_FIRST_MS,
      pauseMaxMs: RETRY_PAUSE_MAX_MS,
      check: () => {
        if (stop.reason !== DRAINED) stop.throwIfAborted();
      },
      onFailure: (error) =>
        log.warn({ shard: this.shard, err: error }, 'a flush did not go through; trying again'),
    });
    if (outcome.kind === 'fenced') {
      throw new FencedError(
        `shard ${this.shard}, epoch ${flush.epoch}, floor ${flush.floor} is fenced: found ${outcome.found}`,
      );
    }
  }

  /** Reads no further, flushes what is applied and ends `run`. */
  handOver(): void {
    this.stop(DRAINED);
  }

  /** What this owner says at the next heartbeat. */
  heartbeat(): Heartbeat {
    const isIdle = this.#applied === this.#floor;
    return {
      shard: this.shard,
      epoch: this.#checkpoint.epoch,
      claim: this.#checkpoint.claim,
      floor: this.#floor,
      flushingTo: this.#flushingTo ?? this.#floor,
      // Relative to the floor only where nothing is pending.
      arrivedThroughMs: isIdle ? this.#arrivedThroughMs : 0,
    };
  }

  /** Whether this owner's checkpoint is still where `beat` said, so that a refused beat means what it says. */
  isStillAt(beat: Heartbeat): boolean {
    return this.#floor === beat.floor && (this.#flushingTo ?? this.#floor) === beat.flushingTo;
  }

  /**
   * Asks the broker how far the stream is. Where all of it is applied, the counts are as fresh as the broker's clock. A
   * stream that is another one now, or ends before what was applied, ends this owner (I2): a reader that waits for the
   * next message would not notice. Where the stream begins is left to the reader: a message in hand may be its last copy.
   */
  async listen(): Promise<void> {
    const place = this.#place();
    const state = await this.#parts.streams.state(this.shard);
    try {
      checkStream({ ...state, firstSequence: 0 }, place);
    } catch (error) {
      this.stop(error);
      return;
    }
    if (this.#applied >= state.lastSequence)
      this.#arrivedThroughMs = Math.max(this.#arrivedThroughMs, state.brokerTimeMs);
  }

  #place(): StreamPlace {
    const { shard, incarnation } = this.#checkpoint;
    return { shard, incarnation, next: this.#applied + 1 };
  }

  /** Counts that PostgreSQL does not have yet, relative to this owner's checkpoint. */
  liveDelta(request: LiveRequest): LiveDelta {
    return {
      shard: this.shard,
      epoch: this.#checkpoint.epoch,
      claim: this.#checkpoint.claim,
      floor: this.#floor,
      arrivedThroughMs: this.#arrivedThroughMs,
      ...this.#counts.live(request),
    };
  }
}

/** The reason of a stop after everything was flushed. */
const DRAINED = new Error('drained');
