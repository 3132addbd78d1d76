/**
 * What dedup goes by (I3): a click's identity is (ad_id, impression_id), or (ad_id, click_id) where it has no
 * impression; its routing time is the time inside that UUID.
 *
 * The fold keeps hashes, not texts. 96 bits: with 54 million identities in a shard's horizon (10,000 clicks/s over
 * 16 shards for 24 h) the chance that any two of them share a hash is n²/2 / 2^96 = 2e-14 a day. A click_id is
 * compared only within one identity, so 64 bits are plenty there.
 */
import type { ClickFacts, RoutedFacts } from './clickRecord.ts';
import { fits } from './limits.ts';
import { UUID_BYTES, uuid7TimeMs } from './uuid7.ts';

export const IDENTITY_HASH_BYTES = 12;
export const CLICK_HASH_BYTES = 8;

/** Seeds are part of the stored format: a change of them is a change of every fold and route. */
const IDENTITY_SEED = 0x636c69636b6c6564n;
const IDENTITY_SEED_2 = 0x6765722d69643032n;
const CLICK_SEED = 0x636c69636b2d6964n;

const IMPRESSION = 0x69;
const CLICK = 0x63;

/** Far above what gateways let through; a record on the stream with a longer ad_id cannot be judged. */
export const AD_ID_HASHED_BYTES_MAX = 1024;

// Scratch space for one call; everything here is synchronous.
const scratch = new Uint8Array(AD_ID_HASHED_BYTES_MAX + 1 + UUID_BYTES);
const encoder = new TextEncoder();

/** The UUIDv7 that identifies the click: its impression's, or its own. */
export function identityUuid(facts: Pick<ClickFacts, 'clickId' | 'impressionId'>): Uint8Array {
  return facts.impressionId ?? facts.clickId;
}

/** The time inside the click's own UUID, milliseconds since the Unix epoch. */
export function clickTimeMs(facts: RoutedFacts): number {
  return facts.clickMs ?? uuid7TimeMs(facts.clickId);
}

/** The time inside its impression's UUID; undefined: it has none. */
export function impressionTimeMs(facts: RoutedFacts): number | undefined {
  if (facts.clickMs !== undefined) return facts.impressionMs;
  return facts.impressionId === undefined ? undefined : uuid7TimeMs(facts.impressionId);
}

/** The time by which the click is routed, milliseconds since the Unix epoch. */
export function routingTimeMs(facts: RoutedFacts): number {
  return impressionTimeMs(facts) ?? clickTimeMs(facts);
}

/** @throws RangeError where the ad_id is longer than any gateway lets through. */
export function checkHashable({ adId }: Pick<ClickFacts, 'adId'>): void {
  if (!fits(adId, AD_ID_HASHED_BYTES_MAX))
    throw new RangeError(`ad_id is longer than ${AD_ID_HASHED_BYTES_MAX} bytes`);
}

/**
 * Writes the identity's hash (12 bytes, big-endian) at `offset` of `target`.
 * @throws RangeError as `checkHashable`
 */
export function writeIdentityHash(facts: RoutedFacts, target: DataView, offset: number): void {
  checkHashable(facts);
  const { written } = encoder.encodeInto(facts.adId, scratch.subarray(0, AD_ID_HASHED_BYTES_MAX));
  // The mark keeps an impression_id and a click_id of the same value apart. It cannot be taken for a part of
  // the ad_id, because what follows it always has 16 bytes.
  scratch[written] = facts.impressionId === undefined ? CLICK : IMPRESSION;
  scratch.set(identityUuid(facts), written + 1);
  const bytes = scratch.subarray(0, written + 1 + UUID_BYTES);
  target.setBigUint64(offset, Bun.hash.xxHash64(bytes, IDENTITY_SEED));
  target.setUint32(offset + 8, Number(Bun.hash.xxHash64(bytes, IDENTITY_SEED_2) & 0xffff_ffffn));
}

/** Writes the click_id's hash (8 bytes, big-endian) at `offset` of `target`. */
export function writeClickHash(facts: ClickFacts, target: DataView, offset: number): void {
  target.setBigUint64(offset, Bun.hash.xxHash64(facts.clickId, CLICK_SEED));
}
