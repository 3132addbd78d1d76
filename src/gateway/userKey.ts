/**
 * The key that stands for a person: a salted hash of the id that the publisher has of them, or else of their network
 * address and user agent. Neither of these leaves the gateway.
 */
export const USER_KEY_BYTES = 16;

const NOBODY = new Uint8Array(0);

/** 16 bytes, or none where nothing is known. */
export function userKey(
  salt: Uint8Array,
  person: { userId: string; ip: string; userAgent: string },
): Uint8Array {
  const { userId, ip, userAgent } = person;
  if (userId === '' && ip === '') return NOBODY;
  const text = userId === '' ? `address\n${ip}\n${userAgent}` : `user\n${userId}`;
  return new Bun.CryptoHasher('sha256', salt).update(text).digest().subarray(0, USER_KEY_BYTES);
}
