/** What the query service needs of the outside; main.ts hands it the adapters. Readings end where `signal` is given. */
import type { Ad } from '../domain/ad.ts';
import type { LiveDelta, LiveRequest, PastAggregates, StoredAggregates } from '../domain/aggregates.ts';
import type { AdDimension, AskedAd } from '../domain/groups.ts';
import type { Question } from '../domain/question.ts';
import type { Ranking, TopAggregates } from '../domain/ranking.ts';

/** Stored counts and checkpoints, as of one moment; at most `rowsMax` rows. */
export type ReadStored = (
  question: Question,
  rowsMax: number,
  signal?: AbortSignal,
) => Promise<StoredAggregates>;

/** The same as it stood at a moment, milliseconds since the Unix epoch by the database's clock. */
export type ReadPast = (asOfMs: number, ...asked: Parameters<ReadStored>) => Promise<PastAggregates>;

/** The largest of what is stored. */
export type ReadTop = (ranking: Ranking, signal?: AbortSignal) => Promise<TopAggregates>;

/** An owner's unflushed deltas; undefined where it did not answer in time. */
export type AskOwner = (owner: string, request: LiveRequest) => Promise<LiveDelta[] | undefined>;

/** Ads with one of these values of a dimension of ads, as the catalog has them now; of more than `adsMax` the first. */
export type ReadAds = (by: AdDimension, ids: readonly string[], adsMax: number) => Promise<AskedAd[]>;
/** At most `limit` ads of the catalog whose id begins with `prefix` and comes after `afterAdId`, by id. */
export type ListAds = (prefix: string, afterAdId: string, limit: number) => Promise<readonly Ad[]>;

export interface Log {
  error(facts: object, message: string): void;
}
