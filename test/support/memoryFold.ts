/**
 * Redis in memory, as far as the fold needs it: the steps of src/adapters/redis/fold.lua around the fold's own
 * definition (I4, I5). Every script is atomic, but one that runs out of memory ends half way: its verdicts are written
 * and perhaps its last-seen times, `through` is not (I7: it is simply run again).
 *
 * `wipe` is a Redis that was emptied; `loseTail` one that came back without its last scripts, as a replica that was
 * behind or an append-only file without its end.
 */
import type { FoldMemory } from '../../src/actors/ports.ts';
import { Fold, type FoldReply } from '../../src/domain/fold.ts';
import { LostConnection, Trouble } from './trouble.ts';

interface Step {
  readonly sequence: number;
  readonly timestampMs: number;
  readonly records: Buffer;
  readonly floor: number;
  readonly purpose: 'count' | 'warm';
}

export class MemoryFolds {
  readonly trouble = new Trouble();
  readonly #horizonMs: number;
  readonly #memories = new Map<string, Generation>();
  /** Generations begun so far, over all shards. */
  resets = 0;

  constructor(horizonMs: number) {
    this.#horizonMs = horizonMs;
  }

  /** The memory of one shard, as its owners use it. */
  of(shard: number, incarnation: string): FoldMemory {
    const key = `${shard} ${incarnation}`;
    return {
      fold: (sequence, timestampMs, records, floor, purpose) =>
        this.trouble.around('fold', () =>
          this.#fold(key, { sequence, timestampMs, records, floor, purpose }),
        ),
      reset: (generation, through, warm) =>
        this.trouble.around('reset', () => {
          this.resets += 1;
          this.#memories.set(key, new Generation(this.#horizonMs, generation, through, warm));
        }),
    };
  }

  /** Forgets every shard. */
  wipe(): void {
    this.#memories.clear();
  }

  /** The next script of any shard runs out of memory half way. */
  failHalfWay = false;

  /** Every shard loses its last `scripts` scripts. */
  loseTail(scripts: number): void {
    for (const [key, memory] of this.#memories) this.#memories.set(key, memory.without(scripts));
  }

  /** Up to where a shard is folded; undefined: there is no memory of it. */
  through(shard: number, incarnation: string): number | undefined {
    return this.#memories.get(`${shard} ${incarnation}`)?.through;
  }

  /** How many messages' verdicts are kept (I6). */
  verdictsKept(shard: number, incarnation: string): number {
    return this.#memories.get(`${shard} ${incarnation}`)?.verdictsKept ?? 0;
  }

  #fold(key: string, step: Step): FoldReply {
    const memory = this.#memories.get(key);
    if (memory === undefined) return { kind: 'none' };
    const halfWay = this.failHalfWay;
    this.failHalfWay = false;
    return memory.fold(step, halfWay);
  }
}

/** What a reset begins. */
class Generation {
  readonly #horizonMs: number;
  readonly #name: string;
  readonly #start: number;
  readonly #warm: number;
  readonly #fold: Fold;
  readonly #verdicts = new Map<number, string>();
  readonly #steps: Step[] = [];
  through: number;
  #streamTimeMs = 0;

  constructor(horizonMs: number, name: string, through: number, warm: number) {
    this.#horizonMs = horizonMs;
    this.#name = name;
    this.#start = through;
    this.#warm = warm;
    this.#fold = new Fold(horizonMs);
    this.through = through;
  }

  get verdictsKept(): number {
    return this.#verdicts.size;
  }

  fold(step: Step, halfWay = false): FoldReply {
    const { sequence, timestampMs, records, floor, purpose } = step;
    const counting = purpose === 'count';
    if (counting && sequence <= this.#warm) return { kind: 'gone' };
    const stored = this.#verdicts.get(sequence);
    if (sequence <= this.through) {
      if (!counting) return { kind: 'done' };
      return stored === undefined ? { kind: 'gone' } : { kind: 'verdicts', letters: stored };
    }
    if (sequence > this.through + 1) {
      return { kind: 'behind', through: this.through, warm: this.#warm, streamTimeMs: this.#streamTimeMs };
    }
    const judged = this.#fold.apply(timestampMs, records);
    // What an earlier run of this message wrote stands: it saw the last-seen times as they were before.
    const letters = counting ? (stored ?? judged) : judged;
    if (counting) this.#verdicts.set(sequence, letters);
    if (halfWay && counting) throw new LostConnection('OOM command not allowed');
    this.#streamTimeMs = Math.max(this.#streamTimeMs, Math.floor(timestampMs / 1000) * 1000);
    this.through = sequence;
    for (const kept of this.#verdicts.keys())
      if (kept <= floor && kept <= sequence) this.#verdicts.delete(kept);
    this.#steps.push(step);
    return counting ? { kind: 'verdicts', letters } : { kind: 'done' };
  }

  /** The same generation as it was some scripts ago. */
  without(scripts: number): Generation {
    const earlier = new Generation(this.#horizonMs, this.#name, this.#start, this.#warm);
    for (const step of this.#steps.slice(0, Math.max(0, this.#steps.length - scripts))) earlier.fold(step);
    return earlier;
  }
}
