/** From a message to counts: every record ends in exactly one place (I12). */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DecodedRecord } from '../../src/domain/clickBatch.ts';
import type { ClickFacts } from '../../src/domain/clickRecord.ts';
import { NO_DIMENSIONS } from '../../src/domain/dimensions.ts';
import { FOLD_RECORD_BYTES, Fold } from '../../src/domain/fold.ts';
import { AD_ID_HASHED_BYTES_MAX } from '../../src/domain/identity.ts';
import { countJudged, foldRecordsOf, judgeMessage } from '../../src/domain/judgedMessage.ts';
import { RoutingTable } from '../../src/domain/routingTable.ts';
import type { Disposition } from '../../src/domain/windowCounts.ts';
import { factsOf, NOON_MS, RULES, uuid7At } from '../support/clicks.ts';

const TABLE = RoutingTable.create(1, { kind: 'created', shards: 4, rules: RULES });
const HERE = TABLE.route(factsOf());
const ELSEWHERE_AD =
  ['ad-a', 'ad-b', 'ad-c', 'ad-d', 'ad-e'].find((adId) => TABLE.route(factsOf({ adId })) !== HERE) ?? '';
/** The codec lets no such record through; here it stands for whatever judging does not expect. */
const UNEXPECTED = factsOf({ adId: 'x'.repeat(AD_ID_HASHED_BYTES_MAX + 1) });
const MESSAGE = { sequence: 7, bytes: new Uint8Array([1, 2, 3]) };

function decoded(facts: ClickFacts | undefined, mark: number): DecodedRecord {
  return { facts, bytes: new Uint8Array([mark]), dimensions: NO_DIMENSIONS, person: undefined };
}

function judgedOf(...facts: (ClickFacts | undefined)[]) {
  const records = facts.map((one, index) => decoded(one, index));
  return judgeMessage(MESSAGE, { routingSequence: 1, records }, HERE, TABLE);
}

function counted(letters: string, ...facts: ClickFacts[]) {
  const counts: [adId: string, minute: number, disposition: Disposition][] = [];
  const duplicates = countJudged(judgedOf(...facts), letters, ({ facts, minute }, disposition) => {
    counts.push([facts.adId, minute, disposition]);
  });
  return { duplicates, counts };
}

describe('a message', () => {
  it('that is no batch is one dead letter with all its bytes', () => {
    const judged = judgeMessage(MESSAGE, undefined, HERE, TABLE);
    expect(judged.clicks).toEqual([]);
    expect(judged.deadLetters).toEqual([
      { sequence: 7, index: 0, reason: 'undecodable', bytes: MESSAGE.bytes },
    ]);
  });

  it('gives what cannot be judged to the dead letters, with its own place and bytes', () => {
    const judged = judgedOf(factsOf(), undefined, factsOf({ adId: ELSEWHERE_AD }), factsOf(), undefined);
    expect(judged.deadLetters).toEqual([
      { sequence: 7, index: 1, reason: 'undecodable', bytes: new Uint8Array([1]) },
      { sequence: 7, index: 2, reason: 'misrouted', bytes: new Uint8Array([2]) },
      { sequence: 7, index: 4, reason: 'undecodable', bytes: new Uint8Array([4]) },
    ]);
    expect(judged.clicks.length).toBe(2);
    expect(foldRecordsOf(judged.clicks).length).toBe(2 * FOLD_RECORD_BYTES);
  });

  it('is counted but for a record on which judging fails: that one is a dead letter, for every reader alike', () => {
    const [first, last] = [factsOf(), factsOf({ clickId: uuid7At(NOON_MS, 9), test: true })];
    const judged = judgedOf(first, UNEXPECTED, last, UNEXPECTED);
    expect(judged.deadLetters).toEqual([
      { sequence: 7, index: 1, reason: 'unjudgeable', bytes: new Uint8Array([1]) },
      { sequence: 7, index: 3, reason: 'unjudgeable', bytes: new Uint8Array([3]) },
    ]);
    expect(judged.clicks.map(({ facts }) => facts)).toEqual([first, last]);
    expect(judgedOf(first, UNEXPECTED, last, UNEXPECTED)).toEqual(judged);
  });

  it('without records is nothing at all', () => {
    expect(judgedOf()).toMatchObject({ clicks: [], deadLetters: [] });
    expect(counted('')).toEqual({ duplicates: 0, counts: [] });
  });

  it('tells the fold which clicks are billable', () => {
    const foldRecords = foldRecordsOf(judgedOf(factsOf(), factsOf({ test: true })).clicks);
    expect(foldRecords[FOLD_RECORD_BYTES - 1]).toBe(1);
    expect(foldRecords[2 * FOLD_RECORD_BYTES - 1]).toBe(0);
  });
});

describe('counting', () => {
  it('gives each click its disposition, and a duplicate none', () => {
    const test = factsOf({ test: true });
    const bot = factsOf({ userAgent: 'curl/8.5.0' });
    const late = factsOf({ eventTimeMs: NOON_MS - 90_000 });
    expect(counted('VRDCCR', factsOf(), factsOf(), factsOf(), test, bot, late)).toEqual({
      duplicates: 1,
      counts: [
        ['ad-1', NOON_MS, 'VALID'],
        ['ad-1', NOON_MS, 'REPEAT'],
        ['ad-1', NOON_MS, 'TEST'],
        ['ad-1', NOON_MS, 'GIVT'],
        ['ad-1', NOON_MS - 120_000, 'REPEAT'],
      ],
    });
    // Whether its content is billable or not.
    expect(counted('D', test)).toEqual({ duplicates: 1, counts: [] });
  });

  it('books a click whose event time is impossible at the minute of its receipt', () => {
    const receivedMs = NOON_MS + 20;
    const { maxFutureSkewMs, maxEventAgeMs } = RULES;
    const minutes = [
      0,
      receivedMs - maxEventAgeMs - 1,
      receivedMs - maxEventAgeMs,
      receivedMs + maxFutureSkewMs,
      receivedMs + maxFutureSkewMs + 1,
      Number.MAX_SAFE_INTEGER,
    ].map((eventTimeMs) => judgedOf(factsOf({ eventTimeMs, receivedMs })).clicks[0]?.minute);
    expect(minutes).toEqual([NOON_MS, NOON_MS, NOON_MS - 3_600_000, NOON_MS, NOON_MS, NOON_MS]);
  });

  it.each([
    ['too few', ''],
    ['too many', 'VV'],
    ['an unknown letter', 'X'],
    ['a small letter', 'v'],
    ['content, of a click that is billable', 'C'],
  ])('throws on verdicts that do not fit: %s', (_what, letters) => {
    expect(() => counted(letters, factsOf())).toThrow();
  });

  it.each(['V', 'R'])('throws on %s of a click that was refused', (letter) => {
    expect(() => counted(letter, factsOf({ test: true }))).toThrow('does not fit');
  });

  it('counts nothing of a message some verdict of which does not fit', () => {
    const seen: string[] = [];
    const judged = judgedOf(factsOf(), factsOf({ test: true }));
    expect(() =>
      countJudged(judged, 'VV', (_click, disposition) => {
        seen.push(disposition);
      }),
    ).toThrow();
    expect(seen).toEqual([]);
  });

  it('loses and invents no record: records = counted + duplicates + dead letters', () => {
    const one = fc.record({
      impression: fc.integer({ min: 1, max: 3 }),
      click: fc.integer({ min: 1, max: 6 }),
      kind: fc.constantFrom('billable', 'billable', 'test', 'misrouted', 'undecodable', 'unjudgeable'),
    });
    fc.assert(
      fc.property(fc.array(fc.array(one, { maxLength: 8 }), { maxLength: 6 }), (messages) => {
        const fold = new Fold(RULES.dedupHorizonMs);
        const totals = { records: 0, counted: 0, duplicates: 0, deadLetters: 0 };
        for (const [index, records] of messages.entries()) {
          const judged = judgedOf(
            ...records.map(({ impression, click, kind }) =>
              kind === 'undecodable'
                ? undefined
                : factsOf({
                    impressionId: uuid7At(NOON_MS, impression),
                    clickId: uuid7At(NOON_MS, click),
                    test: kind === 'test',
                    ...(kind === 'misrouted' ? { adId: ELSEWHERE_AD } : {}),
                    ...(kind === 'unjudgeable' ? { adId: UNEXPECTED.adId } : {}),
                  }),
            ),
          );
          const letters = fold.apply(NOON_MS + index, foldRecordsOf(judged.clicks));
          totals.records += records.length;
          totals.deadLetters += judged.deadLetters.length;
          totals.duplicates += countJudged(judged, letters, () => {
            totals.counted += 1;
          });
        }
        expect(totals.counted + totals.duplicates + totals.deadLetters).toBe(totals.records);
      }),
    );
  });
});
