/**
 * A click whose record was written when its request was read: what routing needs of it, and the bytes that will stand
 * on the stream. No object of twenty fields is made on its way, and its UUIDs stay where they are until asked for.
 */
import type { RoutedFacts } from './clickRecord.ts';
import { UUID_BYTES } from './uuid7.ts';

/** Where the UUIDs stand in a record that is written here: first of all, each behind its key and its length. */
const CLICK_ID_AT = 2;
const IMPRESSION_ID_AT = CLICK_ID_AT + UUID_BYTES + 2;

export class WrittenClick implements RoutedFacts {
  readonly clickMs: number;
  /** undefined: it has no impression. */
  readonly impressionMs: number | undefined;
  readonly adId: string;
  readonly receivedMs: number;
  /** The record's bytes, as they stand inside a batch. */
  readonly record: Uint8Array;

  constructor(
    clickMs: number,
    impressionMs: number | undefined,
    adId: string,
    receivedMs: number,
    record: Uint8Array,
  ) {
    this.clickMs = clickMs;
    this.impressionMs = impressionMs;
    this.adId = adId;
    this.receivedMs = receivedMs;
    this.record = record;
  }

  get clickId(): Uint8Array {
    return this.record.subarray(CLICK_ID_AT, CLICK_ID_AT + UUID_BYTES);
  }

  get impressionId(): Uint8Array | undefined {
    if (this.impressionMs === undefined) return undefined;
    return this.record.subarray(IMPRESSION_ID_AT, IMPRESSION_ID_AT + UUID_BYTES);
  }
}
