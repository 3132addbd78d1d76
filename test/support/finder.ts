/** Finds facts of clicks without a library or a file: the same ones for the same text, the longest words among them. */
import { isIP } from 'node:net';
import type { FactFinder } from '../../src/domain/factFinder.ts';
import { NOWHERE, type Place } from '../../src/domain/place.ts';
import { NO_USER_AGENT, type UserAgentFacts } from '../../src/domain/userAgentFacts.ts';

const USER_AGENTS: readonly UserAgentFacts[] = [
  { deviceType: 'wearable', os: 'Windows Phone', browser: 'Internet Explorer' },
  { deviceType: 'phone', os: 'iOS', browser: 'Safari' },
  { deviceType: 'bot', os: '', browser: '' },
  NO_USER_AGENT,
];
const PLACES: readonly Place[] = [
  { country: 'NP', region: 'NP-P3' },
  { country: 'GB', region: 'GB-ENG' },
  { country: 'VA', region: '' },
  NOWHERE,
];

export const FINDER: FactFinder = {
  ofUserAgent: (userAgent) => one(USER_AGENTS, userAgent),
  ofAddress: (address) => (isIP(address) === 0 ? NOWHERE : one(PLACES, address)),
};

/** A gateway that has neither. */
export const NOTHING_FOUND: FactFinder = { ofUserAgent: () => NO_USER_AGENT, ofAddress: () => NOWHERE };

function one<Fact>(facts: readonly Fact[], text: string): Fact {
  const fact = facts[Bun.hash.crc32(text) % facts.length];
  if (fact === undefined) throw new Error('no facts to choose from');
  return fact;
}
