/**
 * What a gateway finds out of a click where its sender did not say it. It stands in the record from then on: a replay
 * next year sees the same, whatever library or file is installed then.
 */
import type { ClickContext } from './clickRecord.ts';
import type { Place } from './place.ts';
import { NO_USER_AGENT, type UserAgentFacts } from './userAgentFacts.ts';

export interface FactFinder {
  /** @param userAgent not empty */
  ofUserAgent(userAgent: string): UserAgentFacts;
  /** @param address as text; of what is none nothing is known */
  ofAddress(address: string): Place;
}

export type FoundFacts = Pick<ClickContext, 'country' | 'region' | 'deviceType' | 'os' | 'browser'>;

/**
 * What was said counts, each field by itself. A region is found only together with its country: one that somebody else
 * knows may be another one's.
 */
export function foundFacts(
  said: FoundFacts,
  userAgent: string,
  address: string,
  finder: FactFinder,
): FoundFacts {
  const { country, region, deviceType, os, browser } = said;
  const isDescribed = deviceType !== '' && os !== '' && browser !== '';
  const described = isDescribed || userAgent === '' ? NO_USER_AGENT : finder.ofUserAgent(userAgent);
  const place = country === '' && address !== '' ? finder.ofAddress(address) : said;
  return {
    country: country || place.country,
    region: region || place.region,
    deviceType: deviceType || described.deviceType,
    os: os || described.os,
    browser: browser || described.browser,
  };
}
