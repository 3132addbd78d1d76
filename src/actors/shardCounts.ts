/**
 * What a shard's owner has counted beyond its floor: the shard's ad actors and the sums that leave with the next flush.
 *
 * I12: a flush's records, duplicates and dead letters are those of just the messages whose counts it holds. I14: the
 * limits of what may wait for a flush stand here.
 */
import type { LiveDelta, LiveRequest, LiveRow } from '../domain/aggregates.ts';
import type { DeadLetter } from '../domain/deadLetter.ts';
import type { RollupRow } from '../domain/dimensions.ts';
import type { DeltaRow, PeopleDelta } from '../domain/flush.ts';
import { countJudged, type JudgedMessage } from '../domain/judgedMessage.ts';
import {
  addDispositions,
  type DispositionCounts,
  isPersons,
  WINDOW_CLICKS_MAX,
} from '../domain/windowCounts.ts';
import { AdActor } from './adActor.ts';
import { SeenPeople } from './seenPeople.ts';

/**
 * Rows and dead letters in one flush; reading waits beyond. PostgreSQL writes some 150,000 of them a second: a flush that
 * took longer than a statement may would be given up again and again.
 */
const FLUSH_ROWS_MAX = 60_000;
const FLUSH_DEAD_LETTERS_MAX = 1_000;
/** At about 160 bytes each. */
const FLUSH_PEOPLE_MAX = 100_000;
const FLUSH_RECORDS_MAX = WINDOW_CLICKS_MAX / 2;

/** What a flush takes with it of the counts. */
export interface CountedDelta {
  readonly rows: readonly DeltaRow[];
  readonly rollups: readonly RollupRow[];
  readonly people: readonly PeopleDelta[];
  readonly records: number;
  readonly duplicates: number;
  readonly deadLetters: readonly DeadLetter[];
}

/** Rows that add up where they have the same key. */
class Sums<Row extends DispositionCounts> {
  readonly #rows = new Map<string, Row>();

  /** @param row is added to from now on */
  add(key: string, row: Row): void {
    const known = this.#rows.get(key);
    if (known === undefined) this.#rows.set(key, row);
    else addDispositions(known, row);
  }

  get all(): Row[] {
    return [...this.#rows.values()];
  }
}

export class ShardCounts {
  readonly #ads = new Map<string, AdActor>();
  /** Whose windows are in the flush under way. */
  #flushing: (readonly [string, AdActor])[] = [];
  /** At most so many rows are in what was counted since the last flush began. */
  #rows = 0;
  #people = new SeenPeople();
  #records = 0;
  #duplicates = 0;
  #deadLetters: DeadLetter[] = [];

  /** Counts a whole message by its verdicts, without waiting for anything. */
  count(judged: JudgedMessage, letters: string): void {
    this.#duplicates += countJudged(judged, letters, ({ facts, minute, record }, disposition) => {
      const actor = this.#actorOf(facts.adId);
      this.#rows += actor.count(minute, facts.clickId, record.dimensions, disposition);
      if (isPersons(disposition)) this.#people.see(facts.adId, minute, record.person);
    });
    this.#records += judged.clicks.length + judged.deadLetters.length;
    this.#deadLetters.push(...judged.deadLetters);
  }

  get isFull(): boolean {
    return (
      this.#rows >= FLUSH_ROWS_MAX ||
      this.#people.size >= FLUSH_PEOPLE_MAX ||
      this.#records >= FLUSH_RECORDS_MAX ||
      this.#deadLetters.length >= FLUSH_DEAD_LETTERS_MAX
    );
  }

  /** Hands out what was counted since the last flush began; it stays visible until `flushed`. */
  beginFlush(): CountedDelta {
    this.#flushing = [...this.#ads];
    const parts = this.#flushing.map(([, actor]) => actor.beginFlush());
    const delta = {
      rows: parts.flatMap(({ rows }) => rows),
      rollups: parts.flatMap(({ rollups }) => rollups),
      people: this.#people.all,
      records: this.#records,
      duplicates: this.#duplicates,
      deadLetters: this.#deadLetters,
    };
    this.#rows = 0;
    this.#people = new SeenPeople();
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
  live(request: LiveRequest): Pick<LiveDelta, 'rows' | 'rollups'> {
    const { adIds, kind } = request;
    const rows = new Sums<LiveRow>();
    const rollups = new Sums<RollupRow>();
    for (const actor of this.#actors(adIds)) {
      for (const row of actor.liveRows(request)) {
        const adId = adIds === undefined ? '' : row.adId;
        rows.add(`${row.minute} ${adId}`, { ...row, adId });
      }
      if (kind === undefined) continue;
      for (const row of actor.liveRollups(kind, request)) {
        const adId = adIds === undefined ? '' : row.adId;
        rollups.add([row.quarter, row.value, row.value2, adId].join('\0'), { ...row, adId });
      }
    }
    return { rows: rows.all, rollups: rollups.all };
  }

  /** @param adIds undefined: all */
  #actors(adIds: readonly string[] | undefined): Iterable<AdActor> {
    if (adIds === undefined) return this.#ads.values();
    return adIds.flatMap((adId) => this.#ads.get(adId) ?? []);
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
