/**
 * Reads user agents with ua-parser-js, and tells programs by isbot. Reading one takes tens of microseconds and its answer
 * never changes, so the answers of many are kept.
 */
import { isbot } from 'isbot';
import { LRUCache } from 'lru-cache';
import { UAParser } from 'ua-parser-js';
import type { Browser, DeviceType, OperatingSystem, UserAgentFacts } from '../../domain/userAgentFacts.ts';
import { browserOf, deviceTypeOf, operatingSystemOf } from './names.ts';

/** User agents whose answers are kept. */
const KNOWN_MAX = 20_000;
/**
 * So much of a user agent is read. The library's patterns take time that grows with the square of the length where somebody
 * repeats "Android": 500 to 1,000 µs for the 500 characters that the library itself reads, 150 µs for these. Browsers and apps
 * have said their names by then.
 */
const READ_CHARACTERS_MAX = 256;

/** What a program says of device, system and browser is not what it has. */
const PROGRAM: UserAgentFacts = { deviceType: 'bot', os: '', browser: '' };

export class UserAgents {
  readonly #known = new LRUCache<string, UserAgentFacts>({ max: KNOWN_MAX });

  /** @param userAgent not empty */
  read(userAgent: string): UserAgentFacts {
    let facts = this.#known.get(userAgent);
    if (facts === undefined) {
      facts = isbot(userAgent) ? PROGRAM : parse(userAgent.slice(0, READ_CHARACTERS_MAX));
      this.#known.set(userAgent, facts);
    }
    return facts;
  }
}

function parse(userAgent: string): { deviceType: DeviceType; os: OperatingSystem; browser: Browser } {
  const parser = new UAParser(userAgent);
  const os = operatingSystemOf(parser.getOS().name);
  return {
    deviceType: deviceTypeOf(parser.getDevice().type, os),
    os,
    browser: browserOf(parser.getBrowser().name, os),
  };
}
