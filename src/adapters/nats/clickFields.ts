/** Numbers and values of the fields of `ClickBatch` and `ClickRecord` in proto/clickledger/v1/click.proto. */
import type { Channel, SignatureCheck } from '../../domain/clickRecord.ts';

/** In the order of their values, from 1. */
export const CHANNELS: readonly Channel[] = ['HTTP', 'GRPC'];
/** In the order of their values, from 0. */
export const SIGNATURES: readonly SignatureCheck[] = ['NOT_CHECKED', 'VALID', 'INVALID', 'EXPIRED'];

/** Field numbers of click.proto. */
export const BATCH = { routingSequence: 1, records: 2 } as const;
export const RECORD = {
  clickId: 1,
  impressionId: 2,
  adId: 3,
  eventTimeMs: 4,
  receivedMs: 5,
  channel: 6,
  signature: 7,
  head: 8,
  prefetch: 9,
  test: 10,
  userAgent: 11,
  userKey: 12,
  referrer: 13,
  country: 14,
  region: 15,
  deviceType: 16,
  os: 17,
  browser: 18,
  publisherId: 19,
  placementId: 20,
  creativeId: 21,
  source: 22,
  attributes: 23,
} as const;

/** Wire types. */
export const VARINT = 0;
export const DELIMITED = 2;

/** What stands before a field's value. */
export function tag(field: number, wireType: number): number {
  return (field << 3) | wireType;
}
