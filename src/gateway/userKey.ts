/**
 * The key that stands for a person: a salted hash of the id that the publisher has of them, or else of their network
 * address and user agent. Neither of these leaves the gateway.
 */
import { USER_KEY_BYTES } from '../domain/clickRecord.ts';
import { Hmac } from '../domain/hmac.ts';

const NOBODY = new Uint8Array(0);

/** By the salt, of which a gateway has one. */
const hmacs = new WeakMap<Uint8Array, Hmac>();

/** 16 bytes, or none where nothing is known. */
export function userKey(
  salt: Uint8Array,
  person: { userId: string; ip: string; userAgent: string },
): Uint8Array {
  const { userId, ip, userAgent } = person;
  if (userId === '' && ip === '') return NOBODY;
  const text = userId === '' ? `address\n${ip}\n${userAgent}` : `user\n${userId}`;
  return personHash(salt, text).slice(0, USER_KEY_BYTES);
}

/**
 * A hash whose first bytes are the key, of the text that `userKey` makes, or of its UTF-8 bytes.
 * @returns good until the next call
 */
export function personHash(salt: Uint8Array, text: string | Uint8Array): Uint8Array {
  let hmac = hmacs.get(salt);
  if (hmac === undefined) {
    hmac = new Hmac(salt);
    hmacs.set(salt, hmac);
  }
  return hmac.of(text);
}
