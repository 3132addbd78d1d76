/** The fold that forgets nothing: what it says, what it knows of the live fold, and its records in files. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NO_DIMENSIONS } from '../../src/domain/dimensions.ts';
import { Fold, foldSeconds } from '../../src/domain/fold.ts';
import { foldRecordsOf, type JudgedMessage } from '../../src/domain/judgedMessage.ts';
import {
  encodeReplayRecord,
  partitionOf,
  type ReplayRecord,
  ReplayRecordDecoder,
  replayRecords,
} from '../../src/domain/replayRecord.ts';
import { WholeFold } from '../../src/domain/wholeFold.ts';
import { factsOf, NOON_MS, uuid7At } from '../support/clicks.ts';

const HORIZON_MS = 10_000;

interface Message {
  readonly timestampMs: number;
  readonly judged: JudgedMessage;
}

const record = fc.record({
  impression: fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined }),
  click: fc.integer({ min: 1, max: 3 }),
  refused: fc.constantFrom(undefined, 'GIVT', 'DEFECTIVE', 'TEST', 'SIVT'),
  adId: fc.constantFrom('ad', 'ads with ümlauts and a longer name', '広告'),
});

/** Messages some seconds apart, sometimes with a clock that steps back. */
const messages: fc.Arbitrary<Message[]> = fc
  .array(
    fc.record({
      stepSeconds: fc.integer({ min: -3, max: 15 }),
      records: fc.array(record, { maxLength: 5 }),
    }),
    { maxLength: 25 },
  )
  .map((steps) => {
    let timestampMs = NOON_MS;
    return steps.map(({ stepSeconds, records }) => {
      timestampMs += stepSeconds * 1_000;
      return { timestampMs, judged: judgedOf(records) };
    });
  });

function judgedOf(
  records: readonly {
    readonly impression: number | undefined;
    readonly click: number;
    readonly refused: ReplayRecord['refused'];
    readonly adId: string;
  }[],
): JudgedMessage {
  const clicks = records.map(({ impression, click, refused, adId }) => {
    const impressionId = impression === undefined ? undefined : uuid7At(1, impression);
    const facts = factsOf({ adId, impressionId, clickId: uuid7At(2, click) });
    const judgement =
      refused === undefined
        ? { kind: 'billable' as const }
        : { kind: 'refused' as const, disposition: refused, reason: 'test' as const };
    return {
      facts,
      record: { dimensions: NO_DIMENSIONS, person: undefined },
      judgement,
      minute: NOON_MS + click * 60_000,
    };
  });
  return { clicks, deadLetters: [] };
}

/** As a replay gives them to the fold. */
function recordsOf(stream: readonly Message[]): ReplayRecord[] {
  let seconds = 0;
  return stream.flatMap(({ timestampMs, judged }) => {
    seconds = Math.max(seconds, foldSeconds(timestampMs));
    return replayRecords(judged, seconds, true);
  });
}

describe('the fold that forgets nothing', () => {
  it('gives the verdicts of a fold without a horizon, and marks those that the live fold gave otherwise', () => {
    fc.assert(
      fc.property(messages, (stream) => {
        const [live, endless, whole] = [new Fold(HORIZON_MS), new Fold(Infinity), new WholeFold(HORIZON_MS)];
        const liveLetters = stream.map(({ timestampMs, judged }) =>
          live.apply(timestampMs, foldRecordsOf(judged.clicks)),
        );
        const letters = stream.map(({ timestampMs, judged }) =>
          endless.apply(timestampMs, foldRecordsOf(judged.clicks)),
        );
        const verdicts = recordsOf(stream).map((each) => whole.judge(each));
        expect(verdicts.map(({ letter }) => letter).join('')).toBe(letters.join(''));
        const said = liveLetters.join('');
        expect(verdicts.map(({ isLate }) => isLate)).toEqual(
          verdicts.map(({ letter }, index) => letter !== said[index]),
        );
      }),
    );
  });

  it('says the same when the identities are folded part by part', () => {
    fc.assert(
      fc.property(messages, fc.integer({ min: 1, max: 7 }), (stream, parts) => {
        const whole = new WholeFold(HORIZON_MS);
        const folds = Array.from({ length: parts }, () => new WholeFold(HORIZON_MS));
        for (const each of recordsOf(stream)) {
          expect(folds[partitionOf(each, parts)]?.judge(each)).toEqual(whole.judge(each));
        }
      }),
    );
  });
});

describe('records in files', () => {
  it('come back as they were, in whatever pieces they are read', () => {
    fc.assert(
      fc.property(messages, fc.integer({ min: 1, max: 200 }), (stream, pieceBytes) => {
        const records = recordsOf(stream);
        const bytes = Buffer.concat(records.map((each) => Buffer.from(encodeReplayRecord(each))));
        const decoder = new ReplayRecordDecoder();
        const found: ReplayRecord[] = [];
        for (let start = 0; start < bytes.length; start += pieceBytes) {
          // A piece is good until the next one is asked for.
          const piece = Buffer.from(bytes.subarray(start, start + pieceBytes));
          found.push(...decoder.push(piece));
          piece.fill(0xff);
        }
        decoder.end();
        expect(found).toEqual(records);
      }),
    );
  });

  it('that are cut off are an error', () => {
    const [each] = recordsOf([
      {
        timestampMs: NOON_MS,
        judged: judgedOf([{ impression: 1, click: 1, refused: undefined, adId: 'ad' }]),
      },
    ]);
    if (each === undefined) throw new Error('there is one');
    const decoder = new ReplayRecordDecoder();
    expect([...decoder.push(encodeReplayRecord(each).subarray(0, -1))]).toEqual([]);
    expect(() => decoder.end()).toThrow('cut off');
  });
});
