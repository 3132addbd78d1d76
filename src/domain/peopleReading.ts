/** What a query about people reads: stored sketches and how fresh they are, as of one moment. */
import type { PeopleSpan } from './peopleSpan.ts';
import type { Settlement } from './settlement.ts';

export interface PeopleWanted {
  readonly subjects: { readonly kind: 'ads' | 'campaigns'; readonly ids: readonly string[] };
  /** Holds all days and hours. */
  readonly range: { readonly fromMs: number; readonly toMs: number };
  /** First milliseconds of the rows of a day. */
  readonly days: readonly number[];
  /** First milliseconds of the rows of an hour. */
  readonly hours: readonly number[];
  /** So many ads at most may the campaigns have together. */
  readonly adsMax: number;
  readonly sketchesMax: number;
}

/** The people of an ad in a stretch of time, as one shard saw them. */
export interface StoredPeople extends PeopleSpan {
  /** The ad; its campaign where campaigns were asked for. */
  readonly subject: string;
  readonly sketch: Uint8Array;
}

export type PeopleReading =
  | {
      readonly kind: 'read';
      readonly sketches: readonly StoredPeople[];
      readonly settlement: Settlement;
      /** Every shard had flushed what arrived before; 0: not known. */
      readonly arrivedThroughMs: number;
      /** Who clicked before is in no sketch; -Infinity where everybody is. */
      readonly sinceMs: number;
    }
  | { readonly kind: 'tooManyAds' }
  | { readonly kind: 'tooManySketches' };
