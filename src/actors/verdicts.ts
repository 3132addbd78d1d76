/**
 * Asks the fold for a message's verdicts and mends its memory where it must (I5): fills it again after a loss, folds
 * forward what another owner left out. Guards I7: an error is never an answer; it waits and asks again, and only
 * this shard waits.
 */
import { type FoldReply, horizonStartMs } from '../domain/fold.ts';
import { insist } from '../domain/insist.ts';
import { foldRecordsOf, type JudgedMessage } from '../domain/judgedMessage.ts';
import { StreamGapError, type StreamMessage } from '../domain/streamMessage.ts';
import type { Timers } from '../domain/timers.ts';
import type { ClickStreams, FoldMemory, Log } from './ports.ts';

const RETRY_PAUSE_FIRST_MS = 50;
const RETRY_PAUSE_MAX_MS = 2_000;

/** Messages on their way to a memory that is filled. */
const FOLDS_IN_FLIGHT_MAX = 64;

export interface VerdictsParts {
  readonly shard: number;
  /** The stream that the memory is made of. */
  readonly incarnation: string;
  readonly streams: ClickStreams;
  readonly memory: FoldMemory;
  readonly horizonMs: number;
  readonly log: Log;
  readonly timers: Timers;
  /** Decodes and judges a message, as the owner does. */
  readonly examine: (message: StreamMessage) => Promise<JudgedMessage>;
  /** A new random word for each generation of the memory. */
  readonly newGeneration: () => string;
}

/** What the owner knows when it asks. */
export interface OwnerPosition {
  /** The committed floor. */
  readonly floor: number;
  /** Running maximum of the timestamps, this message included, milliseconds. */
  readonly streamTimeMs: number;
}

export class Verdicts {
  readonly #parts: VerdictsParts;

  constructor(parts: VerdictsParts) {
    this.#parts = parts;
  }

  /** The fold's verdicts on a message, a letter a click. Returns only with an answer, or throws once `stop` is given. */
  async of(
    message: StreamMessage,
    judged: JudgedMessage,
    owner: OwnerPosition,
    stop: AbortSignal,
  ): Promise<string> {
    const records = foldRecordsOf(judged.clicks);
    for (;;) {
      const reply = await this.#ask(message, records, owner.floor, 'count', stop);
      switch (reply.kind) {
        case 'verdicts':
          return reply.letters;
        case 'none':
        case 'gone':
          await this.#rebuild(message.sequence, reply.kind, owner, stop);
          break;
        case 'behind':
          if (reply.streamTimeMs < horizonStartMs(owner.streamTimeMs, this.#parts.horizonMs)) {
            await this.#rebuild(message.sequence, reply.kind, owner, stop);
          } else {
            await this.#foldForward(reply, message.sequence - 1, owner.floor, stop);
          }
          break;
        case 'done':
          throw new Error('the fold answered done to a message whose verdicts were asked for');
      }
    }
  }

  /** Starts the memory anew, one horizon back, and fills it up to just before `next`. */
  async #rebuild(next: number, why: string, owner: OwnerPosition, stop: AbortSignal): Promise<void> {
    const { shard, incarnation, streams, memory, horizonMs, log, newGeneration } = this.#parts;
    const start = await this.#insist(stop, () =>
      streams.firstSequenceAt(shard, incarnation, horizonStartMs(owner.streamTimeMs, horizonMs)),
    );
    const from = Math.min(start, next);
    log.info({ shard, why, from, next }, 'fold memory is filled again');
    await this.#insist(stop, () => memory.reset(newGeneration(), from - 1, next - 1));
    await this.#foldForward({ through: from - 1, warm: next - 1 }, next - 1, owner.floor, stop);
  }

  /**
   * Folds what lies between the memory and `through`, which this owner has counted already or counts by what is
   * stored; up to `warm` no verdicts are kept. Where the memory changes meanwhile, the caller asks and decides again.
   *
   * Several messages are on their way at a time: a horizon is long, and they arrive in order. One that does not get
   * through makes those after it `behind`, which changes nothing.
   */
  async #foldForward(
    memory: { through: number; warm: number },
    through: number,
    floor: number,
    stop: AbortSignal,
  ): Promise<void> {
    const { shard, incarnation, streams, examine } = this.#parts;
    if (memory.through >= through) return;
    const asked: Promise<FoldReply>[] = [];
    for await (const message of streams.read(shard, incarnation, memory.through + 1, stop, through)) {
      const { clicks } = await examine(message);
      const purpose = message.sequence <= memory.warm ? 'warm' : 'count';
      const reply = this.#ask(message, foldRecordsOf(clicks), floor, purpose, stop);
      // Those that nobody waits for any more fail unheard.
      reply.catch(() => undefined);
      asked.push(reply);
      if (asked.length >= FOLDS_IN_FLIGHT_MAX && !isFolded(await asked.shift())) return;
    }
    for (const reply of asked) if (!isFolded(await reply)) return;
  }

  #ask(
    message: StreamMessage,
    records: Buffer,
    floor: number,
    purpose: 'count' | 'warm',
    stop: AbortSignal,
  ): Promise<FoldReply> {
    const { memory } = this.#parts;
    return this.#insist(stop, () =>
      memory.fold(message.sequence, message.timestampMs, records, floor, purpose),
    );
  }

  /** A server that does not answer has said nothing (I7). */
  #insist<T>(stop: AbortSignal, attempt: () => Promise<T>): Promise<T> {
    const { shard, log, timers } = this.#parts;
    return insist(attempt, {
      timers,
      pauseFirstMs: RETRY_PAUSE_FIRST_MS,
      pauseMaxMs: RETRY_PAUSE_MAX_MS,
      check: () => stop.throwIfAborted(),
      onFailure: (error, pauseMs) => {
        // That is an answer: the memory would be filled from the wrong stream (I2).
        if (error instanceof StreamGapError) throw error;
        if (pauseMs === RETRY_PAUSE_MAX_MS)
          log.warn({ shard, err: error }, 'the fold does not answer; waiting');
      },
    });
  }
}

function isFolded(reply: FoldReply | undefined): boolean {
  return reply?.kind === 'done' || reply?.kind === 'verdicts';
}
