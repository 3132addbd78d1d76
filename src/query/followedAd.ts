/**
 * The minutes of one ad that streams follow: stored counts and the owners' unflushed ones together, and at which version
 * each minute last changed. A stream needs to keep nothing but the version that it has told; however slowly it reads,
 * nothing waits for it.
 */
import type { StoredMinute } from '../domain/changedRows.ts';
import type { RowStatus } from '../domain/settlement.ts';
import { addDispositions, type DispositionCounts, MINUTE_MS } from '../domain/windowCounts.ts';

export interface FollowedMinute {
  readonly minute: number;
  stored: DispositionCounts;
  /** Not flushed yet; undefined: nothing. */
  live: DispositionCounts | undefined;
  revision: number;
  /** As streams are told. */
  shown: DispositionCounts & { readonly revision: number; readonly status: RowStatus };
  /** When that last changed; 0: there was never anything to tell. */
  version: number;
}

export type StatusOf = (adId: string, endMs: number) => RowStatus;

const NOTHING: DispositionCounts = { valid: 0, repeat: 0, givt: 0, sivt: 0, defective: 0, test: 0 };

export class FollowedAd {
  readonly adId: string;
  /** Minutes from here on are followed without a gap since `sinceVersion`. */
  fromMs: number;
  /** Infinity: nothing was read yet. */
  sinceVersion = Infinity;
  /** Streams that follow it. */
  streams = 0;
  /** When the last stream left. */
  leftMs = 0;
  /** Of its minutes the last to change. */
  version = 0;
  readonly #minutes = new Map<number, FollowedMinute>();
  readonly #touched = new Set<FollowedMinute>();
  #live: FollowedMinute[] = [];

  constructor(adId: string, fromMs: number) {
    this.adId = adId;
    this.fromMs = fromMs;
  }

  /** Everything stored is about to be read anew: what is not found then is not there. */
  clearStored(): void {
    for (const minute of this.#minutes.values()) {
      minute.stored = NOTHING;
      minute.revision = 0;
      this.#touched.add(minute);
    }
  }

  store({ minute: minuteMs, revision, valid, repeat, givt, sivt, defective, test }: StoredMinute): void {
    const minute = this.#at(minuteMs);
    minute.stored = { valid, repeat, givt, sivt, defective, test };
    minute.revision = revision;
  }

  /** Unflushed counts are given anew each time. */
  clearLive(): void {
    for (const minute of this.#live) {
      minute.live = undefined;
      this.#touched.add(minute);
    }
    this.#live = [];
  }

  addLive(minuteMs: number, counts: DispositionCounts): void {
    if (minuteMs < this.fromMs) return;
    const minute = this.#at(minuteMs);
    if (minute.live === undefined) {
      minute.live = { ...NOTHING };
      this.#live.push(minute);
    }
    addDispositions(minute.live, counts);
  }

  /** From now on streams are told what is there now. @param all statuses may have changed without counts */
  publish(version: number, statusOf: StatusOf, all: boolean): void {
    for (const minute of all ? this.#minutes.values() : this.#touched) {
      const shown = {
        ...minute.stored,
        revision: minute.revision,
        status: statusOf(this.adId, minute.minute + MINUTE_MS),
      };
      if (minute.live !== undefined) addDispositions(shown, minute.live);
      if (areEqual(shown, minute.shown)) continue;
      minute.shown = shown;
      minute.version = version;
      this.version = version;
    }
    this.#touched.clear();
    if (this.sinceVersion === Infinity) this.sinceVersion = version;
  }

  /** What changed after `version`, from a minute on, in the order of time. */
  changedSince(version: number, fromMs: number): FollowedMinute[] {
    if (this.version <= version) return [];
    const changed: FollowedMinute[] = [];
    for (const minute of this.#minutes.values())
      if (minute.version > version && minute.minute >= fromMs) changed.push(minute);
    return changed.sort((left, right) => left.minute - right.minute);
  }

  /** Lets go of minutes before this one. */
  forgetBefore(fromMs: number): void {
    if (fromMs <= this.fromMs) return;
    this.fromMs = fromMs;
    for (const minute of this.#minutes.keys()) if (minute < fromMs) this.#minutes.delete(minute);
    this.#live = this.#live.filter(({ minute }) => minute >= fromMs);
  }

  #at(minuteMs: number): FollowedMinute {
    let minute = this.#minutes.get(minuteMs);
    if (minute === undefined) {
      const shown = { ...NOTHING, revision: 0, status: 'PROVISIONAL' as const };
      minute = { minute: minuteMs, stored: NOTHING, live: undefined, revision: 0, shown, version: 0 };
      this.#minutes.set(minuteMs, minute);
    }
    this.#touched.add(minute);
    return minute;
  }
}

function areEqual(one: FollowedMinute['shown'], other: FollowedMinute['shown']): boolean {
  return (
    one.valid === other.valid &&
    one.repeat === other.repeat &&
    one.givt === other.givt &&
    one.sivt === other.sivt &&
    one.defective === other.defective &&
    one.test === other.test &&
    one.revision === other.revision &&
    one.status === other.status
  );
}
