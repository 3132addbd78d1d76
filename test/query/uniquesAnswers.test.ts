/** QueryUniques: which sketches a question needs, and what is made of them. */
import { status } from '@grpc/grpc-js';
import { describe, expect, test } from 'vitest';
import type { QueryUniquesRequest__Output as Request } from '../../src/contract/generated/clickledger/v1/QueryUniquesRequest.ts';
import { STANDARD_ERROR } from '../../src/domain/hyperLogLog.ts';
import { People, peopleMonthOf } from '../../src/domain/people.ts';
import type { PeopleReading, PeopleWanted, StoredPeople } from '../../src/domain/peopleReading.ts';
import { DAY_MS, HOUR_MS } from '../../src/domain/peopleSpan.ts';
import { uniquesAnswers } from '../../src/query/uniquesAnswers.ts';

const OCTOBER = Date.UTC(2025, 9, 1);
const NOVEMBER = Date.UTC(2025, 10, 1);
const GOOD: Request = {
  ad_ids: ['ad-1'],
  campaign_ids: [],
  from_ms: OCTOBER,
  to_ms: OCTOBER + DAY_MS,
  granularity: 'HOUR',
  time_zone: '',
};
const NEVER = new AbortController().signal;
const FRESH = {
  kind: 'read' as const,
  settlement: { watchedThroughMs: 0, settledThroughMs: OCTOBER, closedThroughMs: -Infinity },
  arrivedThroughMs: 1_234.5,
  sinceMs: -Infinity,
};

describe('a question about people', () => {
  test.each<[string, Partial<Request>, RegExp]>([
    [
      'nobody asked for',
      { ad_ids: [] },
      /^ad_ids has 0 entries and campaign_ids 0: one of them must have some/,
    ],
    ['too many ads', { ad_ids: named('ad', 1_001) }, /^ad_ids must have at most 1000 entries, it has 1001$/],
    [
      'too many campaigns',
      { ad_ids: [], campaign_ids: named('c', 101) },
      /^campaign_ids must have at most 100 entries, it has 101$/,
    ],
    [
      'both',
      { campaign_ids: ['c'] },
      /^ad_ids has 1 entries and campaign_ids 1: one of them must have some, the other none$/,
    ],
    ['an ad twice', { ad_ids: ['a', 'a'] }, /^ad_ids "a" stands there twice$/],
    ['a control character', { ad_ids: ['a\n'] }, /^ad_ids "a\\n" is wrong: it must be 1 to 128 bytes/],
    [
      'a time off the hour',
      { from_ms: OCTOBER + 60_000 },
      /^from_ms \d+ is wrong: .*a multiple of 3600000\), before the year 9999$/,
    ],
    ['an end off the hour', { to_ms: OCTOBER + 1 }, /^to_ms \d+ is wrong/],
    ['a time before 1970', { from_ms: -HOUR_MS }, /^from_ms -3600000 is wrong/],
    ['an end before its start', { to_ms: OCTOBER }, /^to_ms \d+ is wrong: it must be after from_ms/],
    [
      'too long a range',
      { from_ms: 0 },
      /^to_ms \d+ is wrong: from \d+ to it are 488\d{3} hours; 100000 is the most$/,
    ],
    [
      'minutes',
      { granularity: 'MINUTE' },
      /^granularity "MINUTE" is wrong: it must be one of HOUR, DAY, MONTH$/,
    ],
    ['weeks', { granularity: 'WEEK' }, /^granularity "WEEK" is wrong/],
    [
      'a zone that is none',
      { time_zone: 'Mars/Olympus' },
      /^time_zone "Mars\/Olympus" is wrong: .*IANA name/,
    ],
    [
      'a zone between the hours',
      { time_zone: 'Asia/Kathmandu', granularity: 'DAY' },
      /^time_zone "Asia\/Kathmandu" is wrong: a row would begin at 2025-09-30T18:15:00.000Z/,
    ],
    ['a zone at half hours', { time_zone: 'Asia/Kolkata' }, /^time_zone "Asia\/Kolkata" is wrong/],
  ])('with %s is refused, and the error names the field', async (_, changes, details) => {
    const answer = uniquesAnswers(() => Promise.reject(new Error('nothing is read')));
    await expect(answer({ ...GOOD, ...changes }, NEVER)).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringMatching(details),
    });
  });

  test('by hour reads rows of hours, by day and month those of whole days of UTC', async () => {
    const rows = async (changes: Partial<Request>) => {
      const { days, hours } = await wantedOf(changes);
      return [days.length, hours.length];
    };
    expect(await rows({})).toEqual([0, 24]);
    expect(await rows({ granularity: 'DAY' })).toEqual([1, 0]);
    expect(await rows({ granularity: 'MONTH', to_ms: NOVEMBER })).toEqual([31, 0]);
    expect(
      await rows({ granularity: 'MONTH', from_ms: OCTOBER - 2 * HOUR_MS, to_ms: NOVEMBER + HOUR_MS }),
    ).toEqual([31, 3]);
    // A day of Berlin has hours of two days of UTC; the day on which its clock goes back has 25.
    expect(
      await rows({
        granularity: 'DAY',
        time_zone: 'Europe/Berlin',
        from_ms: OCTOBER + 22 * HOUR_MS,
        to_ms: OCTOBER + 46 * HOUR_MS,
      }),
    ).toEqual([0, 24]);
    const back = Date.UTC(2025, 9, 25, 22);
    const { hours } = await wantedOf({
      granularity: 'DAY',
      time_zone: 'Europe/Berlin',
      from_ms: back,
      to_ms: back + 25 * HOUR_MS,
    });
    expect(hours).toEqual(Array.from({ length: 25 }, (_, hour) => back + hour * HOUR_MS));
  });

  test('whose answer needs too much is refused with the limit', async () => {
    const asked = (kind: 'tooManyAds' | 'tooManySketches') =>
      uniquesAnswers(() => Promise.resolve({ kind }))(GOOD, NEVER);
    await expect(asked('tooManyAds')).rejects.toMatchObject({
      details: expect.stringContaining('more than 5000 ads'),
    });
    await expect(asked('tooManySketches')).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringContaining('more than 50000 stored sketches'),
    });
  });

  test('from before people were counted is refused, rather than answered with nobody', async () => {
    const sinceMs = OCTOBER + HOUR_MS;
    const answer = uniquesAnswers(() => Promise.resolve({ ...FRESH, sketches: [], sinceMs }));
    await expect(answer(GOOD, NEVER)).rejects.toMatchObject({
      code: status.FAILED_PRECONDITION,
      details: `from_ms ${OCTOBER} is too early: people are counted since 2025-10-01T01:00:00.000Z`,
    });
    expect((await answer({ ...GOOD, from_ms: sinceMs }, NEVER)).rows).toEqual([]);
  });

  test('that nobody waits for any more is given up', async () => {
    const gone = new AbortController();
    const sketches = Array.from({ length: 24 }, (_, hour) =>
      stored('ad-1', OCTOBER + hour * HOUR_MS, 1, [1n]),
    );
    const many = Array.from({ length: 10 }, () => sketches).flat();
    const answer = uniquesAnswers(() => {
      gone.abort(new Error('gone'));
      return Promise.resolve({ ...FRESH, sketches: many });
    });
    await expect(answer(GOOD, gone.signal)).rejects.toThrow('gone');
  });
});

describe('people', () => {
  test('of several shards and hours are united, a row an ad and bucket, in order', async () => {
    const { rows, info } = await ask(
      { ad_ids: ['b', 'a'], granularity: 'DAY', to_ms: OCTOBER + 30 * HOUR_MS },
      [
        stored('b', OCTOBER, 24, [1n, 2n]),
        stored('b', OCTOBER, 24, [2n, 3n]),
        stored('b', OCTOBER + DAY_MS, 1, [1n]),
        stored('b', OCTOBER + 25 * HOUR_MS, 1, [1n, 4n]),
        stored('a', OCTOBER, 24, [9n]),
      ],
    );
    expect(rows).toEqual([
      row({ ad_id: 'a', people: 1 }),
      row({ ad_id: 'b', people: 3 }),
      row({ ad_id: 'b', people: 2, from_ms: OCTOBER + DAY_MS, to_ms: OCTOBER + 30 * HOUR_MS }),
    ]);
    expect(info).toEqual({
      arrived_through_ms: 1_234,
      partial: false,
      missing_shards: [],
      settled_through_ms: OCTOBER,
      final_through_ms: 0,
    });
  });

  test('of a campaign are those of its ads together', async () => {
    const { rows } = await ask({ ad_ids: [], campaign_ids: ['shoes'], granularity: 'DAY' }, [
      stored('shoes', OCTOBER, 24, [1n, 2n]),
      stored('shoes', OCTOBER, 24, [1n, 3n]),
    ]);
    expect(rows).toEqual([row({ ad_id: '', campaign_id: 'shoes', people: 3 })]);
  });

  test('of two months of UTC are added up, and called a sum', async () => {
    const range = { from_ms: NOVEMBER - 5 * HOUR_MS, to_ms: NOVEMBER + 19 * HOUR_MS };
    const sketches = [stored('ad-1', NOVEMBER - HOUR_MS, 1, [1n, 2n]), stored('ad-1', NOVEMBER, 1, [1n])];
    const zone = { granularity: 'DAY', time_zone: 'Etc/GMT-5' } as const;
    expect((await ask({ ...range, ...zone }, sketches)).rows).toEqual([
      row({ ...range, people: 3, summed_unions: 2 }),
    ]);
    // In UTC they are two rows.
    const apart = await ask({ ...range, granularity: 'MONTH' }, sketches);
    expect(apart.rows?.map(({ people, summed_unions }) => [people, summed_unions])).toEqual([
      [2, 1],
      [1, 1],
    ]);
  });

  test('that are estimated say so, with the standard error of what is summed', async () => {
    const many = Array.from({ length: 5_000 }, (_, index) => Bun.hash.xxHash64(`${index}`));
    const [one] = (await ask({ granularity: 'DAY' }, [stored('ad-1', OCTOBER, 24, many)])).rows ?? [];
    expect(one).toMatchObject({ method: 'HYPERLOGLOG', standard_error: STANDARD_ERROR, summed_unions: 1 });
    expect(Math.abs((one?.people as number) / 5_000 - 1)).toBeLessThan(3 * STANDARD_ERROR);
    const range = { from_ms: NOVEMBER - 5 * HOUR_MS, to_ms: NOVEMBER + 19 * HOUR_MS };
    const both = [stored('ad-1', NOVEMBER - HOUR_MS, 1, many), stored('ad-1', NOVEMBER, 1, many)];
    const [sum] = (await ask({ ...range, granularity: 'DAY', time_zone: 'Etc/GMT-5' }, both)).rows ?? [];
    expect(sum?.summed_unions).toBe(2);
    expect(sum?.standard_error).toBeCloseTo(STANDARD_ERROR / Math.SQRT2, 10);
    // Exact people beside estimated ones make the sum surer.
    const [mixed] =
      (
        await ask({ ...range, granularity: 'DAY', time_zone: 'Etc/GMT-5' }, [
          stored('ad-1', NOVEMBER - HOUR_MS, 1, many),
          stored('ad-1', NOVEMBER, 1, many.slice(0, 100)),
        ])
      ).rows ?? [];
    expect(mixed?.method).toBe('HYPERLOGLOG');
    expect(mixed?.standard_error).toBeLessThan(STANDARD_ERROR);
  });
});

async function wantedOf(changes: Partial<Request>): Promise<PeopleWanted> {
  let asked: PeopleWanted | undefined;
  await uniquesAnswers((wanted) => {
    asked = wanted;
    return Promise.resolve({ ...FRESH, sketches: [] });
  })({ ...GOOD, ...changes }, NEVER);
  if (asked === undefined) throw new Error('nothing was read');
  return asked;
}

function ask(changes: Partial<Request>, sketches: readonly StoredPeople[]) {
  const reading: PeopleReading = { ...FRESH, sketches };
  return uniquesAnswers(() => Promise.resolve(reading))({ ...GOOD, ...changes }, NEVER);
}

function row(changes: object) {
  return {
    ad_id: 'ad-1',
    campaign_id: '',
    from_ms: OCTOBER,
    to_ms: OCTOBER + DAY_MS,
    method: 'EXACT',
    standard_error: 0,
    summed_unions: 1,
    ...changes,
  };
}

function stored(subject: string, startMs: number, hours: 1 | 24, keys: readonly bigint[]): StoredPeople {
  const people = new People(peopleMonthOf(startMs));
  people.add(keys);
  return { subject, startMs, hours, sketch: people.encode() };
}

function named(name: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${name}-${index}`);
}
