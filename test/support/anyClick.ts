/** Any click that the stream can hold, for properties that must hold of all of them. */
import fc from 'fast-check';
import type { ClickRecord } from '../../src/domain/clickRecord.ts';

export const CHANNELS = ['HTTP', 'GRPC'] as const;
export const SIGNATURES = ['NOT_CHECKED', 'VALID', 'INVALID', 'EXPIRED'] as const;

const uuid7 = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => {
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x70;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes;
});
const text = fc.oneof(fc.string({ maxLength: 20 }), fc.string({ unit: 'binary', maxLength: 20 }));
const timeMs = fc.oneof(fc.maxSafeInteger(), fc.integer({ min: 1_700_000_000_000, max: 1_800_000_000_000 }));

export const clickRecord: fc.Arbitrary<ClickRecord> = fc.record({
  clickId: uuid7,
  impressionId: fc.option(uuid7, { nil: undefined }),
  adId: fc
    .oneof(fc.string({ minLength: 1, maxLength: 128 }), fc.string({ unit: 'binary', minLength: 1 }))
    .filter((adId) => !adId.includes('\0')),
  eventTimeMs: timeMs,
  receivedMs: fc.integer({ min: 1, max: Date.UTC(10_000, 0) - 1 }),
  channel: fc.constantFrom(...CHANNELS),
  signature: fc.constantFrom(...SIGNATURES),
  head: fc.boolean(),
  prefetch: fc.boolean(),
  test: fc.boolean(),
  userAgent: fc.option(text, { nil: undefined }),
  userKey: fc.oneof(fc.constant(new Uint8Array(0)), fc.uint8Array({ minLength: 16, maxLength: 16 })),
  referrer: text,
  country: text,
  region: text,
  deviceType: text,
  os: text,
  browser: text,
  publisherId: text,
  placementId: text,
  creativeId: text,
  source: text,
  attributes: fc.dictionary(text, text, { maxKeys: 4, noNullPrototype: true }),
});
