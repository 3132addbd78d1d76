/** The fold (I4): four verdicts, one horizon, and nothing beyond it. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FOLD_RECORD_BYTES, Fold, horizonStartMs, writeFoldRecord } from '../../src/domain/fold.ts';
import { factsOf, NOON_MS, uuid7At } from '../support/clicks.ts';

const HORIZON_MS = 10_000;

interface Seen {
  readonly impression: number;
  readonly click: number;
  readonly billable: boolean;
}

interface Message {
  readonly timestampMs: number;
  readonly records: readonly Seen[];
}

function bytesOf(records: readonly Seen[]): Buffer {
  const bytes = Buffer.alloc(records.length * FOLD_RECORD_BYTES);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (const [index, { impression, click, billable }] of records.entries()) {
    const facts = factsOf({ impressionId: uuid7At(1, impression), clickId: uuid7At(2, click) });
    writeFoldRecord(facts, billable, view, index * FOLD_RECORD_BYTES);
  }
  return bytes;
}

/** Folds messages given as `second: records`, a record as `impression/click` with `!` where it is refused. */
function verdicts(...messages: [second: number, records: string][]): string[] {
  const fold = new Fold(HORIZON_MS);
  return messages.map(([second, records]) =>
    fold.apply(
      NOON_MS + second * 1_000,
      bytesOf(
        records.split(' ').map((record) => {
          const [, impression, click, refused] = /^(\d+)\/(\d+)(!?)$/.exec(record) ?? [];
          return { impression: Number(impression), click: Number(click), billable: refused === '' };
        }),
      ),
    ),
  );
}

describe('the fold', () => {
  it('finds the first click of an impression valid, further ones repeats, the same again a duplicate', () => {
    expect(verdicts([0, '1/1'], [1, '1/2'], [2, '1/1'], [3, '2/3'])).toEqual(['V', 'R', 'D', 'V']);
  });

  it('does so within one message, in the order of its records', () => {
    expect(verdicts([0, '1/1 1/1 1/2 2/3 1/2'])).toEqual(['VDRVD']);
  });

  it('lets a refusal stand, and it does not use up the impression', () => {
    expect(verdicts([0, '1/1!'], [1, '1/2'], [2, '1/3!'])).toEqual(['C', 'V', 'C']);
  });

  it('finds a refused click that comes again a duplicate', () => {
    expect(verdicts([0, '1/1!'], [1, '1/1!'])).toEqual(['C', 'D']);
  });

  it('knows copies of a click_id that differ in content: the first decides, the identity is seen all the same', () => {
    expect(verdicts([0, '1/1!'], [1, '1/1'], [2, '1/2'])).toEqual(['C', 'D', 'R']);
  });

  it('knows a click_id only on its own identity', () => {
    expect(verdicts([0, '1/1'], [1, '2/1'])).toEqual(['V', 'V']);
  });

  it('remembers up to just one horizon, in whole seconds', () => {
    expect(verdicts([0, '1/1'], [10, '1/1'])).toEqual(['V', 'D']);
    expect(verdicts([0, '1/1'], [11, '1/1'])).toEqual(['V', 'V']);
    expect(verdicts([0, '1/1'], [10, '1/2'])).toEqual(['V', 'R']);
    expect(verdicts([0, '1/1'], [11, '1/2'])).toEqual(['V', 'V']);
    expect(verdicts([0.999, '1/1'], [10.001, '1/1'])).toEqual(['V', 'D']);
    expect(verdicts([0.999, '1/1'], [11.0, '1/1'])).toEqual(['V', 'V']);
  });

  it('remembers anew whatever comes again: repeats and duplicates keep their impression seen', () => {
    expect(verdicts([0, '1/1'], [8, '1/1'], [16, '1/1'], [24, '1/2'], [32, '1/3'])).toEqual([
      'V',
      'D',
      'D',
      'R',
      'R',
    ]);
  });

  it('does not let refused clicks keep an impression seen', () => {
    expect(verdicts([0, '1/1'], [8, '1/2!'], [16, '1/3'])).toEqual(['V', 'C', 'V']);
    // The refused copy is a duplicate all the same.
    expect(verdicts([0, '1/2!'], [8, '1/2!'], [16, '1/2!'])).toEqual(['C', 'D', 'D']);
  });

  it('goes by the running maximum of the timestamps: a clock that steps back forgets nothing', () => {
    expect(verdicts([0, '1/1'], [20, '2/2'], [5, '1/1'])).toEqual(['V', 'V', 'V']);
    expect(verdicts([20, '1/1'], [5, '1/2'], [30, '1/1'], [15, '1/2'])).toEqual(['V', 'R', 'D', 'D']);
  });

  it('gives no verdict on no record, and stream time goes on', () => {
    const fold = new Fold(HORIZON_MS);
    expect(fold.apply(NOON_MS, bytesOf([{ impression: 1, click: 1, billable: true }]))).toBe('V');
    expect(fold.apply(NOON_MS + 11_000, Buffer.alloc(0))).toBe('');
    expect(fold.apply(NOON_MS, bytesOf([{ impression: 1, click: 1, billable: true }]))).toBe('V');
  });
});

describe('a fold that starts one horizon back', () => {
  const record = fc.record<Seen>({
    impression: fc.integer({ min: 1, max: 4 }),
    click: fc.integer({ min: 1, max: 8 }),
    billable: fc.boolean(),
  });
  /** Steps from message to message; the broker's clock may step back, by more than a horizon, too. */
  const step = fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min: 0, max: 4_000 }) },
    { weight: 2, arbitrary: fc.integer({ min: -5_000, max: 0 }) },
    { weight: 1, arbitrary: fc.integer({ min: -25_000, max: 25_000 }) },
  );
  const stream = fc
    .array(fc.record({ step, records: fc.array(record, { maxLength: 4 }) }), { minLength: 1, maxLength: 40 })
    .map((messages) => {
      let timestampMs = NOON_MS;
      return messages.map(({ step: stepMs, records }): Message => {
        timestampMs += stepMs;
        return { timestampMs, records };
      });
    });
  const horizon = fc.constantFrom(0, 1_000, 5_000, 10_000, 10_500);

  it('judges everything from stream time T on as the whole fold does, wherever T lies', () => {
    fc.assert(
      fc.property(stream, horizon, (messages, horizonMs) => {
        const whole = new Fold(horizonMs);
        const right = messages.map(({ timestampMs, records }) => whole.apply(timestampMs, bytesOf(records)));
        let streamTimeMs = 0;
        for (const [next, { timestampMs }] of messages.entries()) {
          streamTimeMs = Math.max(streamTimeMs, timestampMs);
          const startMs = horizonStartMs(streamTimeMs, horizonMs);
          const from = Math.min(
            next,
            messages.findIndex((message) => message.timestampMs >= startMs),
          );
          const late = new Fold(horizonMs);
          const given = messages
            .slice(from)
            .map((message) => late.apply(message.timestampMs, bytesOf(message.records)));
          expect(given.slice(next - from)).toEqual(right.slice(next));
        }
      }),
      { numRuns: 150 },
    );
  });

  it('would judge wrongly if it started later: the horizon is not longer than it must be', () => {
    const early = { timestampMs: NOON_MS, records: [{ impression: 1, click: 1, billable: true }] };
    const again = { ...early, timestampMs: NOON_MS + HORIZON_MS };
    expect(horizonStartMs(again.timestampMs, HORIZON_MS)).toBe(early.timestampMs);
    expect(new Fold(HORIZON_MS).apply(again.timestampMs, bytesOf(again.records))).toBe('V');
  });

  it('starts at the beginning of a second, never below 0', () => {
    expect(horizonStartMs(25_999, 10_999)).toBe(15_000);
    expect(horizonStartMs(5_000, 10_000)).toBe(0);
  });
});
