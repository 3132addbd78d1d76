/**
 * What a shard's owner has counted beyond its floor: the shard's ad actors and the sums that leave with the next flush.
 *
 * I12: a flush's records, duplicates and dead letters are those of just the messages whose counts it holds. I14: the
 * limits of what may wait for a flush stand here.
 */
import type { LiveRequest, LiveRow } from '../domain/aggregates.ts';
import type { DeadLetter } from '../domain/deadLetter.ts';
import type { DeltaRow } from '../domain/flush.ts';
import { countJudged, type JudgedMessage } from '../domain/judgedMessage.ts';
import { WINDOW_CLICKS_MAX } from '../domain/windowCounts.ts';
import { AdActor } from './adActor.ts';

/** Windows and dead letters in one flush; reading waits beyond. */
const FLUSH_ROWS_MAX = 20_000;
const FLUSH_DEAD_LETTERS_MAX = 1_000;
const FLUSH_RECORDS_MAX = WINDOW_CLICKS_MAX / 2;

/** What a flush takes with it of the counts. */
export interface CountedDelta {
  readonly rows: readonly DeltaRow[];
  readonly records: number;
  readonly duplicates: number;
  readonly deadLetters: readonly DeadLetter[];
}

export class ShardCounts {
  readonly #ads = new Map<string, AdActor>();
  /** Whose windows are in the flush under way. */
  #flushing: (readonly [string, AdActor])[] = [];
  /** Windows opened since the last flush began. */
  #windows = 0;
  #records = 0;
  #duplicates = 0;
  #deadLetters: DeadLetter[] = [];

  /** Counts a whole message by its verdicts, without waiting for anything. */
  count(judged: JudgedMessage, letters: string): void {
    this.#duplicates += countJudged(judged, letters, (facts, minute, disposition) => {
      if (this.#actorOf(facts.adId).count(minute, facts.clickId, disposition)) this.#windows += 1;
    });
    this.#records += judged.clicks.length + judged.deadLetters.length;
    this.#deadLetters.push(...judged.deadLetters);
  }

  get isFull(): boolean {
    return (
      this.#windows >= FLUSH_ROWS_MAX ||
      this.#records >= FLUSH_RECORDS_MAX ||
      this.#deadLetters.length >= FLUSH_DEAD_LETTERS_MAX
    );
  }

  /** Hands out what was counted since the last flush began; it stays visible until `flushed`. */
  beginFlush(): CountedDelta {
    this.#flushing = [...this.#ads];
    const rows = this.#flushing.flatMap(([, actor]) => actor.beginFlush());
    const delta = {
      rows,
      records: this.#records,
      duplicates: this.#duplicates,
      deadLetters: this.#deadLetters,
    };
    this.#windows = 0;
    this.#records = 0;
    this.#duplicates = 0;
    this.#deadLetters = [];
    return delta;
  }

  /** The flush went through: ad actors with nothing new leave memory. */
  flushed(): void {
    for (const [adId, actor] of this.#flushing) if (actor.flushed()) this.#ads.delete(adId);
    this.#flushing = [];
  }

  /** Counts that are not in PostgreSQL yet. */
  liveRows({ adIds, fromMs, toMs }: LiveRequest): LiveRow[] {
    return (adIds ?? []).flatMap((adId) => this.#ads.get(adId)?.liveRows(fromMs, toMs) ?? []);
  }

  #actorOf(adId: string): AdActor {
    let actor = this.#ads.get(adId);
    if (actor === undefined) {
      actor = new AdActor(adId);
      this.#ads.set(adId, actor);
    }
    return actor;
  }
}
