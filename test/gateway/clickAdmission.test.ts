/** What an ad server may report of a click, and what it is told where it may not. */
import { describe, expect, it } from 'vitest';
import type { Click__Output as Click } from '../../src/contract/generated/clickledger/v1/Click.ts';
import type { FactFinder } from '../../src/domain/factFinder.ts';
import { CLICK_TEXT_BYTES_MAX } from '../../src/domain/limits.ts';
import { MonthlySalt } from '../../src/domain/monthlySalt.ts';
import { NOWHERE } from '../../src/domain/place.ts';
import { NO_USER_AGENT } from '../../src/domain/userAgentFacts.ts';
import { formatUuid } from '../../src/domain/uuid7.ts';
import { admitClick, refuseUnknownAd } from '../../src/gateway/clickAdmission.ts';
import { BROWSER, NOON_MS, uuid7At } from '../support/clicks.ts';
import { NOTHING_FOUND } from '../support/finder.ts';

const CLICK_ID = formatUuid(uuid7At(NOON_MS, 0xabcdef));
const IMPRESSION_ID = formatUuid(uuid7At(NOON_MS - 500, 2));
const CONTEXT = {
  source: 'server-1',
  receivedMs: NOON_MS + 50,
  userKeySalt: new MonthlySalt(new Uint8Array(16)),
  finder: NOTHING_FOUND,
};

function clickOf(changes: Partial<Click> = {}): Click {
  return {
    click_id: CLICK_ID,
    impression_id: IMPRESSION_ID,
    ad_id: 'ad-1',
    event_time_ms: NOON_MS - 10,
    user_id: '',
    ip: '',
    referrer: '',
    country: '',
    region: '',
    device_type: '',
    os: '',
    browser: '',
    publisher_id: '',
    placement_id: '',
    creative_id: '',
    test: false,
    attributes: {},
    ...changes,
  };
}

function recordOf(changes: Partial<Click> = {}) {
  const admission = admitClick(clickOf(changes), CONTEXT);
  if (admission.kind === 'refused') throw new Error(admission.reason);
  return admission.record;
}

function reasonOf(changes: Partial<Click>): string {
  const admission = admitClick(clickOf(changes), CONTEXT);
  return admission.kind === 'refused' ? admission.reason : 'admitted';
}

describe('a click that is admitted', () => {
  it('becomes a record with every field in its place', () => {
    expect(
      recordOf({
        user_agent: BROWSER,
        referrer: 'r',
        country: 'DE',
        region: 'BE',
        device_type: 'phone',
        os: 'o',
        browser: 'b',
        publisher_id: 'pub',
        placement_id: 'pla',
        creative_id: 'cre',
        test: true,
        attributes: { k: 'v' },
      }),
    ).toEqual({
      clickId: uuid7At(NOON_MS, 0xabcdef),
      impressionId: uuid7At(NOON_MS - 500, 2),
      adId: 'ad-1',
      eventTimeMs: NOON_MS - 10,
      receivedMs: NOON_MS + 50,
      channel: 'GRPC',
      signature: 'NOT_CHECKED',
      head: false,
      prefetch: false,
      test: true,
      userAgent: BROWSER,
      userKey: new Uint8Array(0),
      referrer: 'r',
      country: 'DE',
      region: 'BE',
      deviceType: 'phone',
      os: 'o',
      browser: 'b',
      publisherId: 'pub',
      placementId: 'pla',
      creativeId: 'cre',
      source: 'server-1',
      attributes: { k: 'v' },
    });
  });

  it('is the same click in capitals', () => {
    const capitals = recordOf({
      click_id: CLICK_ID.toUpperCase(),
      impression_id: IMPRESSION_ID.toUpperCase(),
    });
    expect(capitals).toEqual(recordOf());
  });

  it('needs no impression, and no event time: then its own time is it', () => {
    expect(recordOf({ impression_id: '' }).impressionId).toBeUndefined();
    expect(recordOf({ event_time_ms: 0 }).eventTimeMs).toBe(NOON_MS);
  });

  it('is judged later, however impossible its times are', () => {
    expect(recordOf({ event_time_ms: Number.MAX_SAFE_INTEGER }).eventTimeMs).toBe(Number.MAX_SAFE_INTEGER);
    expect(recordOf({ click_id: formatUuid(uuid7At(2 ** 48 - 1)) }).clickId).toEqual(uuid7At(2 ** 48 - 1));
  });

  it('keeps apart a user agent that is not known and one that is empty', () => {
    expect(recordOf({}).userAgent).toBeUndefined();
    expect(recordOf({ user_agent: '' }).userAgent).toBe('');
  });

  it('knows a person by a salted key only', () => {
    const byUser = recordOf({ user_id: 'someone', ip: '203.0.113.7', user_agent: BROWSER });
    const text = JSON.stringify(byUser, (_key, value) =>
      value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : value,
    );
    expect(text).not.toContain('someone');
    expect(text).not.toContain('203.0.113.7');
    expect(byUser.userKey.length).toBe(16);
    // The publisher's own id says more than address and browser.
    expect(recordOf({ user_id: 'someone' }).userKey).toEqual(byUser.userKey);
    expect(recordOf({ ip: '203.0.113.7', user_agent: BROWSER }).userKey).not.toEqual(byUser.userKey);
    expect(recordOf({ user_agent: BROWSER }).userKey.length).toBe(0);
    const salted = admitClick(clickOf({ user_id: 'someone' }), {
      ...CONTEXT,
      userKeySalt: new MonthlySalt(new Uint8Array(16).fill(1)),
    });
    expect(salted.kind === 'admitted' && salted.record.userKey).not.toEqual(byUser.userKey);
  });

  it('knows a person by one key through a month of event times, and by another in the next', () => {
    const july = Date.UTC(2025, 6);
    const keyOf = (event_time_ms: number) => recordOf({ user_id: 'someone', event_time_ms }).userKey.toHex();
    expect(keyOf(july - 1)).toBe(keyOf(Date.UTC(2025, 5)));
    expect(keyOf(july)).not.toBe(keyOf(july - 1));
    // Without an event time that of its id counts.
    expect(keyOf(0)).toBe(keyOf(NOON_MS));
  });
});

describe('a click of which the ad server says only a part', () => {
  const USER_AGENT = 'phone, iOS, Safari';
  const ADDRESS = '203.0.113.7';
  const finder: FactFinder = {
    ofUserAgent: (userAgent) =>
      userAgent === USER_AGENT ? { deviceType: 'phone', os: 'iOS', browser: 'Safari' } : NO_USER_AGENT,
    ofAddress: (address) => (address === ADDRESS ? { country: 'NP', region: 'NP-P3' } : NOWHERE),
  };
  const factsOf = (changes: Partial<Click>) => {
    const admission = admitClick(clickOf(changes), { ...CONTEXT, finder });
    if (admission.kind === 'refused') throw new Error(admission.reason);
    const { country, region, deviceType, os, browser } = admission.record;
    return [country, region, deviceType, os, browser];
  };

  it.each<[string, Partial<Click>, string[]]>([
    [
      'nothing of what can be found',
      { user_agent: USER_AGENT, ip: ADDRESS },
      ['NP', 'NP-P3', 'phone', 'iOS', 'Safari'],
    ],
    ['no user agent', { ip: ADDRESS }, ['NP', 'NP-P3', '', '', '']],
    ['an empty user agent', { user_agent: '' }, ['', '', '', '', '']],
    ['no address', { user_agent: USER_AGENT }, ['', '', 'phone', 'iOS', 'Safari']],
    ['the system', { user_agent: USER_AGENT, os: 'iPadOS' }, ['', '', 'phone', 'iPadOS', 'Safari']],
    [
      'device and browser',
      { user_agent: USER_AGENT, device_type: 'tablet', browser: 'b' },
      ['', '', 'tablet', 'iOS', 'b'],
    ],
    [
      'another country: its region is not the found one',
      { ip: ADDRESS, country: 'DE' },
      ['DE', '', '', '', ''],
    ],
    ['the same country', { ip: ADDRESS, country: 'NP' }, ['NP', '', '', '', '']],
    ['the region', { ip: ADDRESS, region: 'Bagmati' }, ['NP', 'Bagmati', '', '', '']],
    ['an address that is none', { ip: 'unknown' }, ['', '', '', '', '']],
  ])('has the rest found: it said %s', (_what, changes, facts) => {
    expect(factsOf(changes)).toEqual(facts);
  });
});

describe('a click that is refused', () => {
  it.each<[string, Partial<Click>, string]>([
    ['no click_id', { click_id: '' }, 'click_id "" is wrong: it must be a UUIDv7'],
    [
      'a UUIDv4',
      { click_id: '0f8fad5b-d9cb-469f-a165-70867728950e' },
      'click_id "0f8fad5b-d9cb-469f-a165-70867728950e" is wrong: it must be a UUIDv7',
    ],
    [
      'a wrong impression',
      { impression_id: 'i' },
      'impression_id "i" is wrong: it must be a UUIDv7 or empty',
    ],
    ['no ad', { ad_id: '' }, 'ad_id "" is wrong: it must be 1 to 128 bytes without control characters'],
    [
      'a line break in the ad',
      { ad_id: 'a\nb' },
      'ad_id "a\\nb" is wrong: it must be 1 to 128 bytes without control characters',
    ],
    [
      'a time before 1970',
      { event_time_ms: -1 },
      'event_time_ms "-1" is wrong: it must be milliseconds since 1970, from 0 to 2^53 - 1',
    ],
    [
      'a time beyond 2^53',
      { event_time_ms: 2 ** 53 },
      'event_time_ms "9007199254740992" is wrong: it must be milliseconds since 1970, from 0 to 2^53 - 1',
    ],
  ])('for %s is told the field, the value and what is right', (_what, changes, reason) => {
    expect(reasonOf(changes)).toBe(reason);
  });

  it.each(Object.entries(CLICK_TEXT_BYTES_MAX))('for a %s of more than %d bytes', (field, bytesMax) => {
    expect(reasonOf({ [field]: 'x'.repeat(bytesMax) })).toBe('admitted');
    expect(reasonOf({ [field]: 'x'.repeat(bytesMax + 1) })).toMatch(
      new RegExp(`^${field} "x+…?" is wrong: it must be at most ${bytesMax} bytes$`),
    );
    expect(reasonOf({ [field]: 'é'.repeat(bytesMax / 2 + 1) })).toMatch(/^[a-z_]+ "é+…?" is wrong/);
  });

  it('for an ad_id of more than 128 bytes', () => {
    expect(reasonOf({ ad_id: 'x'.repeat(128) })).toBe('admitted');
    expect(reasonOf({ ad_id: 'x'.repeat(129) })).toMatch(/^ad_id "x{80}…" is wrong/);
  });

  it('for attributes: too many, a key or a value too long', () => {
    const pairs = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, 'v']));
    expect(reasonOf({ attributes: pairs(16) })).toBe('admitted');
    expect(reasonOf({ attributes: pairs(17) })).toBe(
      'attributes "17 pairs" is wrong: it must be at most 16 pairs',
    );
    expect(reasonOf({ attributes: { ['k'.repeat(64)]: 'v'.repeat(256) } })).toBe('admitted');
    expect(reasonOf({ attributes: { ['k'.repeat(65)]: 'v' } })).toMatch(
      /^attributes key "k{65}" is wrong: .*64 bytes$/,
    );
    expect(reasonOf({ attributes: { key: 'v'.repeat(257) } })).toMatch(
      /^attributes\[key\] "v{80}…" is wrong: .*256 bytes$/,
    );
  });

  it('because its ad is unknown is told how to register it', () => {
    expect(refuseUnknownAd('ad-9')).toEqual({
      kind: 'refused',
      reason:
        'ad_id "ad-9" is wrong: it must be an ad of the catalog (AdCatalogService.UpsertAds registers it)',
    });
  });
});
