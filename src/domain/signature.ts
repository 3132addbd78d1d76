/**
 * Signatures of click URLs: `<kid>.<mac>`, mac = base64url without padding of
 * HMAC-SHA256(key of kid, "v1\n" + adId + "\n" + impressionId).
 *
 * Neither id may hold a line break, or two pairs of ids could sign alike; the gateway refuses such ids before.
 */
import { timingSafeEqual } from 'node:crypto';
import { Hmac } from './hmac.ts';
import type { SigningKey } from './signingKey.ts';

const SIGNATURE_LENGTH_MAX = 64;

const hmacs = new WeakMap<SigningKey, Hmac>();

function mac(key: SigningKey, adId: string, impressionId: string): string {
  let hmac = hmacs.get(key);
  if (hmac === undefined) {
    hmac = new Hmac(key.secret);
    hmacs.set(key, hmac);
  }
  return hmac.of(`v1\n${adId}\n${impressionId}`).toBase64({ alphabet: 'base64url', omitPadding: true });
}

/** The signature of an ad's impression under `key`. */
export function signClick(key: SigningKey, adId: string, impressionId: string): string {
  return `${key.kid}.${mac(key, adId, impressionId)}`;
}

/** Whether `signature` is that of this ad and impression under one of `keys`. Takes as long for a near miss. */
export function isSignedBy(
  keys: readonly SigningKey[],
  adId: string,
  impressionId: string,
  signature: string,
): boolean {
  if (signature.length > SIGNATURE_LENGTH_MAX) return false;
  const dot = signature.indexOf('.');
  const key = keys.find(({ kid }) => kid === signature.slice(0, Math.max(0, dot)));
  if (key === undefined) return false;
  const given = Buffer.from(signature.slice(dot + 1));
  const right = Buffer.from(mac(key, adId, impressionId));
  return given.length === right.length && timingSafeEqual(given, right);
}
