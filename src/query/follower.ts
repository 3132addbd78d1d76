/**
 * One follower for all streams of a process: once a second it asks PostgreSQL and the owners for the union of the ads
 * that anybody follows, and nothing when nobody does. What it finds gets a version number; streams take what changed
 * after the version that they have told, whenever they come, so nothing is kept for a slow one (I14).
 *
 * Stored counts and deltas are those of one moment, as in an answer of QueryAggregates: a delta counts only relative to
 * the very checkpoint that was read. An ad that nobody follows any more is kept for a minute, for who comes back.
 */
import type { LiveDelta, OwnedCheckpoint } from '../domain/aggregates.ts';
import { type ChangedRows, type ChangesAsked, NO_MARK } from '../domain/changedRows.ts';
import { type Settlement, statusOfSpan } from '../domain/settlement.ts';
import type { Timers } from '../domain/timers.ts';
import { MINUTE_MS, minuteOf } from '../domain/windowCounts.ts';
import { FollowedAd } from './followedAd.ts';
import type { Match } from './mergedAggregates.ts';
import { askOwners } from './ownerDeltas.ts';
import type { AskOwner } from './ports.ts';

export const FOLLOW_MAX_MS = 2 * 86_400_000;
const ROUND_MS = 1_000;
/** A new ad does not wait for the next second, but for others that come with it. */
const HURRY_MS = 100;
const KEPT_MS = 60_000;
const ATTEMPTS_MAX = 8;
const RETRY_MS = 10;
/** Of minutes that are followed there is no end: clicks may lie ahead. */
const FAR_MS = 8.64e15 - (8.64e15 % MINUTE_MS);

export interface FollowerParts {
  readonly readChanges: (asked: ChangesAsked) => Promise<ChangedRows>;
  readonly askOwner: AskOwner;
  readonly timers: Timers;
  readonly nowMs: () => number;
  readonly log: { warn(facts: object, message: string): void };
}

/** What the last round found, of all ads together. */
export interface Found {
  readonly version: number;
  readonly arrivedThroughMs: number;
  readonly missingShards: number[];
  readonly settlement: Settlement;
}

export class Follower {
  readonly #parts: FollowerParts;
  readonly #ads = new Map<string, FollowedAd>();
  readonly #fresh = new Set<FollowedAd>();
  /** The last that was heard of a shard's owner; several where there are many ads. */
  #deltas = new Map<number, LiveDelta[]>();
  #mark = NO_MARK;
  #differing = new Set<string>();
  #found: Found | undefined;
  #version = 0;
  #round = Promise.withResolvers<void>();
  #hurry = new AbortController();
  #isRunning = false;
  #isStopped = false;

  constructor(parts: FollowerParts) {
    this.#parts = parts;
  }

  /** undefined: nothing was found yet. */
  get found(): Found | undefined {
    return this.#found;
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** Different ads that are followed, or kept, if these were, too. */
  adsWith(adIds: readonly string[]): number {
    return this.#ads.size + adIds.filter((adId) => !this.#ads.has(adId)).length;
  }

  /** Minutes that all of them may have together then. */
  minutesWith(adIds: readonly string[], fromMs: number): number {
    const nowMs = this.#parts.nowMs();
    let minutes = 0;
    const asked = new Set(adIds);
    for (const ad of this.#ads.values())
      minutes += (nowMs - (asked.delete(ad.adId) ? Math.min(ad.fromMs, fromMs) : ad.fromMs)) / MINUTE_MS;
    return minutes + (asked.size * (nowMs - fromMs)) / MINUTE_MS;
  }

  /** To be left again, once for each. */
  follow(adIds: readonly string[], fromMs: number): readonly FollowedAd[] {
    const ads = adIds.map((adId) => this.#follow(adId, fromMs));
    if (this.#fresh.size > 0) this.#hurry.abort();
    if (!this.#isRunning) void this.#run();
    return ads;
  }

  leave(ads: readonly FollowedAd[]): void {
    for (const ad of ads) {
      ad.streams -= 1;
      ad.leftMs = this.#parts.nowMs();
    }
  }

  /** Returns when the round that comes, or is under way, has ended: whether it found something or not. */
  nextRound(): Promise<void> {
    return this.#round.promise;
  }

  /** Lets go of ads that nobody follows, to make room. */
  forgetLeft(): void {
    this.#forget(Infinity);
  }

  /** Streams end. */
  stop(): void {
    this.#isStopped = true;
    this.#hurry.abort();
    this.#round.resolve();
  }

  #follow(adId: string, fromMs: number): FollowedAd {
    let ad = this.#ads.get(adId);
    if (ad === undefined) {
      ad = new FollowedAd(adId, fromMs);
      this.#ads.set(adId, ad);
      this.#fresh.add(ad);
    } else if (fromMs < ad.fromMs) {
      // Read in full once more, and told as far as streams have not been told it.
      ad.fromMs = fromMs;
      ad.sinceVersion = Infinity;
      this.#fresh.add(ad);
    }
    ad.streams += 1;
    return ad;
  }

  async #run(): Promise<void> {
    const { timers, nowMs, log } = this.#parts;
    this.#isRunning = true;
    while (!this.#isStopped && this.#ads.size > 0) {
      this.#hurry = new AbortController();
      // Begun with the round, and by no clock: one that is set back would hold all news up until it is there again.
      const atOnce = timers.pause(HURRY_MS);
      const whole = timers.pause(ROUND_MS, this.#hurry.signal);
      await this.#look().catch((error: unknown) => {
        log.warn({ err: error }, 'streams get no news; trying again');
        // What changed meanwhile is not known.
        this.#mark = NO_MARK;
      });
      this.#forget(nowMs() - KEPT_MS);
      const ended = this.#round;
      this.#round = Promise.withResolvers();
      ended.resolve();
      await atOnce;
      await whole;
    }
    this.#isRunning = false;
  }

  async #look(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const stored = await this.#read();
      const match = await this.#ask(stored.checkpoints);
      if (match.kind === 'matched') {
        this.#publish(stored, match.deltas, match.missing);
        return;
      }
      if (attempt === ATTEMPTS_MAX) {
        this.#publish(stored, [], stored.checkpoints);
        return;
      }
      await this.#parts.timers.pause(RETRY_MS * attempt);
    }
  }

  async #read(): Promise<ChangedRows> {
    const isAll = this.#mark === NO_MARK;
    const all = [...this.#ads.values()];
    const fresh = isAll ? all : [...this.#fresh];
    const known = isAll ? [] : all.filter((ad) => !this.#fresh.has(ad));
    // Which are read from where: meanwhile others may come, and earlier minutes.
    const asked = fresh.map(({ adId, fromMs }) => ({ adId, fromMs }));
    const stored = await this.#parts.readChanges({ fresh: asked, known, mark: this.#mark });
    if (stored.isSetBack) {
      this.#mark = NO_MARK;
      return this.#read();
    }
    for (const [place, ad] of fresh.entries()) {
      if (ad.fromMs === asked[place]?.fromMs) this.#fresh.delete(ad);
      if (isAll) ad.clearStored();
    }
    for (const row of stored.rows) this.#ads.get(row.adId)?.store(row);
    this.#mark = stored.mark;
    return stored;
  }

  #ask(checkpoints: readonly OwnedCheckpoint[]): Promise<Match> {
    const ads = [...this.#ads.values()];
    const fromMs = ads.reduce((least, ad) => Math.min(least, ad.fromMs), FAR_MS - MINUTE_MS);
    const adIds = ads.map(({ adId }) => adId);
    return askOwners(this.#parts.askOwner, checkpoints, adIds, { fromMs, toMs: FAR_MS });
  }

  #publish(stored: ChangedRows, answered: readonly LiveDelta[], missing: readonly OwnedCheckpoint[]): void {
    const { settlement, checkpoints, differing } = stored;
    const version = this.#version + 1;
    const arrived = new Map(checkpoints.map(({ shard, arrivedThroughMs }) => [shard, arrivedThroughMs]));
    const deltas = [...answered, ...missing.flatMap((checkpoint) => this.#heardOf(checkpoint))];
    for (const ad of this.#ads.values()) ad.clearLive();
    this.#deltas = Map.groupBy(deltas, ({ shard }) => shard);
    for (const [shard, parts] of this.#deltas) {
      let isWhole = true;
      for (const row of parts.flatMap(({ rows }) => rows)) {
        // I13: a minute that is watched changes only with its restatement.
        if (row.minute >= settlement.watchedThroughMs) this.#ads.get(row.adId)?.addLive(row.minute, row);
        else isWhole = false;
      }
      if (isWhole) arrived.set(shard, Math.min(...parts.map(({ arrivedThroughMs }) => arrivedThroughMs)));
    }
    const differs = new Set(differing.map(keyOf));
    const isStatusChanged =
      !areAlike(this.#found?.settlement, settlement) || !haveSame(differs, this.#differing);
    this.#differing = differs;
    const statusOf = (adId: string, endMs: number) =>
      statusOfSpan(
        endMs,
        settlement,
        differs.size > 0 && differs.has(keyOf({ adId, minute: endMs - MINUTE_MS })),
      );
    for (const ad of this.#ads.values()) {
      // One that came, or was asked for earlier minutes, since the reading is not whole before the next.
      if (!this.#fresh.has(ad)) ad.publish(version, statusOf, isStatusChanged);
    }
    this.#version = version;
    const missingShards = missing.map(({ shard }) => shard);
    const arrivedThroughMs = arrived.size === 0 ? 0 : Math.min(...arrived.values());
    this.#found = { version, arrivedThroughMs, missingShards, settlement };
  }

  /** What an owner that is silent now said before is still true of the same checkpoint. */
  #heardOf({ shard, epoch, claim, floor }: OwnedCheckpoint): LiveDelta[] {
    const deltas = this.#deltas.get(shard) ?? [];
    return deltas.filter((delta) => delta.epoch === epoch && delta.claim === claim && delta.floor === floor);
  }

  #forget(leftBeforeMs: number): void {
    const oldestMs = minuteOf(this.#parts.nowMs() - FOLLOW_MAX_MS);
    for (const [adId, ad] of this.#ads) {
      if (ad.streams === 0 && ad.leftMs < leftBeforeMs) {
        this.#ads.delete(adId);
        this.#fresh.delete(ad);
      } else {
        ad.forgetBefore(oldestMs);
      }
    }
  }
}

function keyOf({ adId, minute }: { readonly adId: string; readonly minute: number }): string {
  return `${minute} ${adId}`;
}

function areAlike(one: Settlement | undefined, other: Settlement): boolean {
  return (
    one?.watchedThroughMs === other.watchedThroughMs &&
    one.settledThroughMs === other.settledThroughMs &&
    one.closedThroughMs === other.closedThroughMs
  );
}

function haveSame(one: ReadonlySet<string>, other: ReadonlySet<string>): boolean {
  return one.size === other.size && one.isSubsetOf(other);
}
