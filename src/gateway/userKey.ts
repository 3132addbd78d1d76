/**
 * The key that stands for a person: a salted hash of the id that the publisher has of them, or else of their network
 * address and user agent. Neither of these leaves the gateway.
 */
import { USER_KEY_BYTES } from '../domain/clickRecord.ts';
import type { MonthlySalt } from '../domain/monthlySalt.ts';

const NOBODY = new Uint8Array(0);

export interface Person {
  readonly userId: string;
  readonly ip: string;
  readonly userAgent: string;
}

/** 16 bytes, or none where nothing is known. */
export function userKey(salt: MonthlySalt, eventTimeMs: number, person: Person): Uint8Array {
  const { userId, ip, userAgent } = person;
  if (userId === '' && ip === '') return NOBODY;
  const text = userId === '' ? `address\n${ip}\n${userAgent}` : `user\n${userId}`;
  return salt.at(eventTimeMs).of(text).slice(0, USER_KEY_BYTES);
}
