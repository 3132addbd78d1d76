/** The one judge (I11): each reason, which goes first, and what is just allowed. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ClickFacts } from '../../src/domain/clickRecord.ts';
import { judge, type RefusalReason } from '../../src/domain/judge.ts';
import { factsOf, NOON_MS, RULES, uuid7At } from '../support/clicks.ts';

const RECEIVED_MS = NOON_MS + 20;
const { maxFutureSkewMs: SKEW, maxEventAgeMs: AGE, dedupHorizonMs: HORIZON } = RULES;

/** The reason of the refusal, or the word billable. */
function judged(changes: Partial<ClickFacts>): RefusalReason | 'billable' {
  const judgement = judge(factsOf(changes), RULES);
  return judgement.kind === 'refused' ? judgement.reason : 'billable';
}

describe('the judge', () => {
  it('finds an ordinary click billable, over gRPC and over HTTP', () => {
    expect(judged({})).toBe('billable');
    expect(judged({ impressionId: undefined })).toBe('billable');
    expect(judged({ channel: 'HTTP', signature: 'VALID' })).toBe('billable');
  });

  it.each([
    ['DEFECTIVE', 'click_time_future', { clickId: uuid7At(RECEIVED_MS + SKEW + 1) }],
    ['DEFECTIVE', 'click_time_future', { impressionId: uuid7At(RECEIVED_MS + SKEW + 1) }],
    ['DEFECTIVE', 'event_time_future', { eventTimeMs: RECEIVED_MS + SKEW + 1 }],
    ['DEFECTIVE', 'event_time_old', { eventTimeMs: RECEIVED_MS - AGE - 1 }],
    ['DEFECTIVE', 'impression_time', { impressionId: uuid7At(NOON_MS - HORIZON - 1) }],
    [
      'DEFECTIVE',
      'impression_time',
      { clickId: uuid7At(NOON_MS), impressionId: uuid7At(NOON_MS + SKEW + 1) },
    ],
    ['DEFECTIVE', 'signature_invalid', { channel: 'HTTP', signature: 'INVALID' }],
    ['DEFECTIVE', 'signature_expired', { channel: 'HTTP', signature: 'EXPIRED' }],
    ['TEST', 'test', { test: true }],
    ['GIVT', 'head', { channel: 'HTTP', head: true }],
    ['GIVT', 'prefetch', { channel: 'HTTP', prefetch: true }],
    ['GIVT', 'user_agent_empty', { channel: 'HTTP', userAgent: '' }],
    ['GIVT', 'user_agent_bot', { userAgent: 'Googlebot/2.1 (+http://www.google.com/bot.html)' }],
  ] as const)('refuses as %s: %s', (disposition, reason, changes) => {
    expect(judge(factsOf(changes), RULES)).toEqual({ kind: 'refused', disposition, reason });
  });

  it('allows every time just at its limit', () => {
    expect(judged({ clickId: uuid7At(RECEIVED_MS + SKEW), impressionId: undefined })).toBe('billable');
    expect(judged({ clickId: uuid7At(RECEIVED_MS), impressionId: uuid7At(RECEIVED_MS + SKEW) })).toBe(
      'billable',
    );
    expect(judged({ eventTimeMs: RECEIVED_MS + SKEW })).toBe('billable');
    expect(judged({ eventTimeMs: RECEIVED_MS - AGE })).toBe('billable');
    expect(judged({ impressionId: uuid7At(NOON_MS - HORIZON) })).toBe('billable');
    expect(judged({ clickId: uuid7At(NOON_MS - 20), impressionId: uuid7At(NOON_MS - 20 + SKEW) })).toBe(
      'billable',
    );
  });

  it('holds an impression against the click, not against the clock', () => {
    // An old click that is reported late: its impression was fresh then.
    const clickMs = NOON_MS - 10 * HORIZON;
    expect(judged({ clickId: uuid7At(clickMs), impressionId: uuid7At(clickMs - HORIZON) })).toBe('billable');
    expect(judged({ clickId: uuid7At(clickMs), impressionId: uuid7At(clickMs - HORIZON - 1) })).toBe(
      'impression_time',
    );
  });

  it('names the first of several reasons, always in the same order', () => {
    const wrongs: readonly [RefusalReason, Partial<ClickFacts>][] = [
      ['click_time_future', { clickId: uuid7At(RECEIVED_MS + SKEW + 1) }],
      ['event_time_future', { eventTimeMs: RECEIVED_MS + SKEW + 1 }],
      ['impression_time', { impressionId: uuid7At(NOON_MS - 2 * HORIZON) }],
      ['signature_invalid', { signature: 'INVALID' }],
      ['test', { test: true }],
      ['head', { head: true }],
      ['prefetch', { prefetch: true }],
      ['user_agent_empty', { userAgent: '' }],
    ];
    for (let first = 0; first < wrongs.length; first++) {
      const changes = Object.assign({ channel: 'HTTP' }, ...wrongs.slice(first).map(([, change]) => change));
      expect(judged(changes)).toBe(wrongs[first]?.[0]);
    }
  });

  it('judges a user agent only where one can be known', () => {
    expect(judged({ channel: 'GRPC', userAgent: undefined })).toBe('billable');
    expect(judged({ channel: 'GRPC', userAgent: '' })).toBe('billable');
    expect(judged({ channel: 'HTTP', userAgent: undefined })).toBe('billable');
  });

  it.each([
    'curl/8.5.0',
    'python-requests/2.32.3',
    'facebookexternalhit/1.1',
    'Mozilla/5.0 (compatible; bingbot/2.0)',
    'HeadlessChrome/137.0.0.0',
  ])('takes %s for a program', (userAgent) => {
    expect(judged({ userAgent })).toBe('user_agent_bot');
    expect(judged({ channel: 'HTTP', userAgent })).toBe('user_agent_bot');
  });

  it.each([
    'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1',
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:139.0) Gecko/20100101 Firefox/139.0',
    'Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/137.0.0.0 Mobile Safari/537.36',
  ])('takes %s for a person', (userAgent) => {
    expect(judged({ userAgent })).toBe('billable');
  });

  it.each([
    [
      'GTmetrix',
      'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/117.0.0.0 Safari/537.36 GTmetrix',
    ],
    ['Googlebot', 'Googlebot/2.1 (+http://www.google.com/bot.html)'],
  ])('finds %s by rule set 2', (_, userAgent) => {
    const judgement = judge(factsOf({ userAgent }), { ...RULES, version: 2 });
    expect(judgement).toMatchObject({ disposition: 'GIVT', reason: 'user_agent_bot' });
  });

  it('finds a page test to be a program by rule set 2 only, and browsers inside of apps by none', () => {
    const pageTest = factsOf({
      userAgent: 'Mozilla/5.0 (X11; Linux x86_64) Chrome/117.0.0.0 Safari/537.36 GTmetrix',
    });
    const app = factsOf({
      userAgent:
        'Mozilla/5.0 (Linux; Android 16; Pixel 10) Version/4.0 Chrome/146.0 Mobile Safari/537.36 MetaIAB Facebook',
    });
    for (const version of [1, 2, 1, 2]) {
      const rules = { ...RULES, version };
      expect(judge(pageTest, rules).kind).toBe(version === 1 ? 'billable' : 'refused');
      expect(judge(app, rules).kind).toBe('billable');
    }
  });

  it('depends on facts and rules alone: copies get one judgement, at any time, after any other', () => {
    const near = (middle: number, around: number) =>
      fc.oneof(
        fc.constantFrom(middle - around, middle, middle + around),
        fc.integer({ min: middle - 2 * around, max: middle + 2 * around }),
      );
    const facts = fc.record<ClickFacts>({
      clickId: near(NOON_MS, SKEW).map((timeMs) => uuid7At(timeMs)),
      impressionId: fc.option(
        near(NOON_MS, HORIZON).map((timeMs) => uuid7At(timeMs)),
        { nil: undefined },
      ),
      adId: fc.constant('ad-1'),
      eventTimeMs: near(NOON_MS, AGE),
      receivedMs: near(NOON_MS, SKEW),
      channel: fc.constantFrom('HTTP', 'GRPC'),
      signature: fc.constantFrom('NOT_CHECKED', 'VALID', 'INVALID', 'EXPIRED'),
      head: fc.boolean(),
      prefetch: fc.boolean(),
      test: fc.boolean(),
      userAgent: fc.constantFrom(undefined, '', 'curl/8.5.0', 'Mozilla/5.0 Firefox/139.0'),
    });
    fc.assert(
      fc.property(fc.array(facts, { minLength: 1, maxLength: 8 }), (clicks) => {
        const first = clicks.map((click) => judge(click, RULES));
        const copies = structuredClone(clicks).map((click) => Object.freeze(click));
        expect(copies.reverse().map((click) => judge(click, { ...RULES }))).toEqual(first.reverse());
      }),
    );
  });

  it('gives out judgements that nobody can change for others', () => {
    expect(Object.isFrozen(judge(factsOf(), RULES))).toBe(true);
    expect(Object.isFrozen(judge(factsOf({ test: true }), RULES))).toBe(true);
  });
});
