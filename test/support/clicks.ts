/** Clicks for tests: ordinary ones unless told otherwise, with ids that are a function of a time and a number. */
import { type ClickFacts, type ClickRecord, EMPTY_CONTEXT } from '../../src/domain/clickRecord.ts';
import type { RuleSet } from '../../src/domain/ruleSet.ts';

/** A round moment: 2025-06-15T12:00:00Z. */
export const NOON_MS = Date.UTC(2025, 5, 15, 12);

export const RULES: RuleSet = {
  version: 1,
  maxFutureSkewMs: 5_000,
  maxEventAgeMs: 3_600_000,
  dedupHorizonMs: 600_000,
};

export const BROWSER =
  'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/137.0.0.0 Safari/537.36';

/** A UUIDv7 of this time; `number` tells ids of the same time apart. */
export function uuid7At(timeMs: number, number = 0): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, Math.floor(timeMs / 2 ** 16));
  view.setUint16(4, timeMs % 2 ** 16);
  view.setUint16(6, 0x7000);
  view.setUint32(8, 0x8000_0000);
  view.setUint32(12, number);
  return bytes;
}

/** A billable click over gRPC at noon, changed as `changes` says. */
export function factsOf(changes: Partial<ClickFacts> = {}): ClickFacts {
  return {
    clickId: uuid7At(NOON_MS, 1),
    impressionId: uuid7At(NOON_MS - 2_000, 2),
    adId: 'ad-1',
    eventTimeMs: NOON_MS,
    receivedMs: NOON_MS + 20,
    channel: 'GRPC',
    signature: 'NOT_CHECKED',
    head: false,
    prefetch: false,
    test: false,
    userAgent: BROWSER,
    ...changes,
  };
}

/** `factsOf` with nothing known around it. */
export function recordOf(changes: Partial<ClickRecord> = {}): ClickRecord {
  return {
    ...factsOf(),
    ...EMPTY_CONTEXT,
    ...changes,
  };
}
