/**
 * A shard's owner: reads the shard's stream from the checkpoint on, asks the fold for each message's verdicts, hands
 * every click to its ad actor, and flushes what they counted together with the new floor.
 *
 * It owns the ad actors of its shard and everything counted since the last flush. It does not own the truth: the
 * stream, the fold in Redis and the checkpoint in PostgreSQL are elsewhere, so an owner that dies or is fenced is
 * simply dropped, and its successor starts at the checkpoint.
 *
 * I2: applies messages strictly by sequence, and only those of the stream that the checkpoint was made of. I8: counts and floor leave in one flush, which may be retried for ever.
 * I14: reading waits while the counts not yet flushed are at their limit.
 */
import type { LiveDelta, LiveRequest } from '../domain/aggregates.ts';
import type { Checkpoint, Heartbeat } from '../domain/checkpoint.ts';
import type { DeadLetter } from '../domain/deadLetter.ts';
import type { DeltaRow, Flush } from '../domain/flush.ts';
import { insist } from '../domain/insist.ts';
import { countJudged, type JudgedMessage, judgeMessage } from '../domain/judgedMessage.ts';
import { StreamGapError, type StreamMessage } from '../domain/streamMessage.ts';
import { checkStream, type StreamPlace } from '../domain/streamPlace.ts';
import type { Timers } from '../domain/timers.ts';
import { WINDOW_CLICKS_MAX } from '../domain/windowCounts.ts';
import { AdActor } from './adActor.ts';
import type { ClickStreams, FoldMemory, Ledger, Log, Routing } from './ports.ts';
import { Verdicts } from './verdicts.ts';

/** Windows and dead letters in one flush; reading waits beyond. */
const FLUSH_ROWS_MAX = 20_000;
const FLUSH_DEAD_LETTERS_MAX = 1_000;
const FLUSH_RECORDS_MAX = WINDOW_CLICKS_MAX / 2;

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

/** What is counted beyond the floor; grows by messages, leaves with a flush. */
interface Delta {
  rows: number;
  records: number;
  duplicates: number;
  deadLetters: DeadLetter[];
}

export class ShardActor {
  readonly shard: number;
  readonly #parts: ShardParts;
  readonly #checkpoint: Checkpoint;
  readonly #verdicts: Verdicts;
  readonly #ads = new Map<string, AdActor>();
  readonly #stop = new AbortController();
  #delta: Delta = emptyDelta();
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
        if (this.#isFull()) await this.#flushNow();
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

  async #examine(message: StreamMessage): Promise<JudgedMessage> {
    const { streams, routing } = this.#parts;
    const batch = streams.decode(message.bytes);
    // I3: the route is checked only with every entry that the publisher knew.
    if (batch !== undefined) await routing.readThrough(batch.routingSequence);
    return judgeMessage(message, batch, this.shard, routing.table);
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
    const duplicates = countJudged(judged, letters, (facts, minute, disposition) => {
      if (this.#actorOf(facts.adId).count(minute, facts.clickId, disposition)) this.#delta.rows += 1;
    });
    this.#delta.records += judged.clicks.length + judged.deadLetters.length;
    this.#delta.duplicates += duplicates;
    for (const letter of judged.deadLetters) this.#bury(letter);
    this.#applied = message.sequence;
    this.#streamTimeMs = streamTimeMs;
    this.#arrivedThroughMs = Math.max(this.#arrivedThroughMs, streamTimeMs);
  }

  #actorOf(adId: string): AdActor {
    let actor = this.#ads.get(adId);
    if (actor === undefined) {
      actor = new AdActor(adId);
      this.#ads.set(adId, actor);
    }
    return actor;
  }

  #bury(letter: DeadLetter): void {
    const { sequence, index, reason } = letter;
    this.#delta.deadLetters.push(letter);
    this.#parts.log.error(
      { shard: this.shard, sequence, index, reason },
      'a record cannot be judged; it is kept as a dead letter',
    );
  }

  #isFull(): boolean {
    const { rows, records, deadLetters } = this.#delta;
    return (
      rows >= FLUSH_ROWS_MAX || records >= FLUSH_RECORDS_MAX || deadLetters.length >= FLUSH_DEAD_LETTERS_MAX
    );
  }

  /** Flushes everything applied so far; returns when it is stored. One flush at a time. */
  #flushNow(): Promise<void> {
    this.#flush = this.#flush.then(() => this.#flushOnce());
    return this.#flush;
  }

  async #flushOnce(): Promise<void> {
    if (this.#applied === this.#floor) return;
    const delta = this.#delta;
    const rows: DeltaRow[] = [];
    const actors = [...this.#ads];
    for (const [, actor] of actors) rows.push(...actor.beginFlush());
    this.#delta = emptyDelta();
    const flush: Flush = {
      shard: this.shard,
      incarnation: this.#checkpoint.incarnation,
      epoch: this.#checkpoint.epoch,
      claim: this.#checkpoint.claim,
      floor: this.#floor,
      newFloor: this.#applied,
      streamTimeMs: this.#streamTimeMs,
      arrivedThroughMs: this.#arrivedThroughMs,
      rows,
      records: delta.records,
      duplicates: delta.duplicates,
      deadLetters: delta.deadLetters,
    };
    this.#flushingTo = flush.newFloor;
    await this.#store(flush);
    this.#floor = flush.newFloor;
    this.#flushingTo = undefined;
    for (const [adId, actor] of actors) if (actor.flushed()) this.#ads.delete(adId);
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
  liveDelta({ adIds, fromMs, toMs }: LiveRequest): LiveDelta {
    return {
      shard: this.shard,
      epoch: this.#checkpoint.epoch,
      claim: this.#checkpoint.claim,
      floor: this.#floor,
      arrivedThroughMs: this.#arrivedThroughMs,
      rows: adIds.flatMap((adId) => this.#ads.get(adId)?.liveRows(fromMs, toMs) ?? []),
    };
  }
}

/** The reason of a stop after everything was flushed. */
const DRAINED = new Error('drained');

function emptyDelta(): Delta {
  return { rows: 0, records: 0, duplicates: 0, deadLetters: [] };
}
