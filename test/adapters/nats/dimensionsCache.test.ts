/** The dimensions of a record on the stream: those of its whole content, however they are found. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeClickBatch,
  encodeClickBatch,
  encodeClickRecord,
} from '../../../src/adapters/nats/clickBatchCodec.ts';
import { type ClickDimensions, dimensionsOf, NO_DIMENSIONS } from '../../../src/domain/dimensions.ts';
import { CLICK_TEXT_BYTES_MAX } from '../../../src/domain/limits.ts';
import { clickRecord } from '../../support/anyClick.ts';
import { recordOf } from '../../support/clicks.ts';

/** A field that no contract has: the record is not plain. */
const UNKNOWN_FIELD = [0xf8, 0x07, 0x01];
const REFERRER = 0x6a;
const COUNTRY = 0x72;

function dimensionsIn(...records: Uint8Array[]): (ClickDimensions | undefined)[] {
  return decodeClickBatch(encodeClickBatch(1, records))?.records.map(({ dimensions }) => dimensions) ?? [];
}

const withField = (bytes: Uint8Array, ...more: number[]) => Uint8Array.from([...bytes, ...more]);

describe('dimensions', () => {
  const sites = fc.oneof(fc.webUrl({ withFragments: true }), fc.string(), fc.constant('https://example.com'));
  const anyRecord = fc
    .tuple(clickRecord, sites)
    .map(([record, referrer]) => ({ ...record, referrer: referrer.replaceAll('\\', '/') }));

  test('are those of the record as it was written, of plain records and of others', () => {
    fc.assert(
      fc.property(fc.array(anyRecord, { maxLength: 4 }), (records) => {
        const bytes = records.map(encodeClickRecord);
        const expected = records.map(dimensionsOf);
        expect(dimensionsIn(...bytes)).toEqual(expected);
        expect(dimensionsIn(...bytes.map((one) => withField(one, ...UNKNOWN_FIELD)))).toEqual(expected);
      }),
      { numRuns: 500 },
    );
  });

  test('of plain bytes and of others are alike, even where they are no UTF-8', () => {
    const near = fc.array(fc.constantFrom(...Buffer.from('htps:/w.é?#@\\'), 0xff, 0xc3, 0x00), {
      maxLength: 24,
    });
    const after = fc.array(fc.tuple(fc.constantFrom(REFERRER, COUNTRY), near), { maxLength: 4 });
    const start = encodeClickRecord(recordOf());
    fc.assert(
      fc.property(after, fc.boolean(), (fields, isHttps) => {
        const more = fields.flatMap(([tag, text]) => {
          const whole = tag === REFERRER && isHttps ? [...Buffer.from('https://'), ...text] : text;
          return [tag, whole.length, ...whole];
        });
        const plain = withField(start, ...more);
        expect(dimensionsIn(plain)).toEqual(dimensionsIn(withField(plain, ...UNKNOWN_FIELD)));
      }),
      { numRuns: 2_000 },
    );
  });

  test('of the same values are the same object, whatever the page of the referrer', () => {
    const one = recordOf({ country: 'DE', os: 'Linux', referrer: 'https://news.example/a' });
    const [first, second, third] = dimensionsIn(
      encodeClickRecord(one),
      encodeClickRecord({ ...one, adId: 'another', referrer: 'https://news.example/b?c', source: 'x' }),
      encodeClickRecord({ ...one, referrer: 'https://other.example/' }),
    );
    expect(second).toBe(first);
    expect(third).toEqual({ ...first, referrer_domain: 'other.example' });
  });

  test('of which nothing is known are the one object for it', () => {
    const record = encodeClickRecord(recordOf({ userKey: new Uint8Array(16), referrer: 'nowhere' }));
    for (const dimensions of dimensionsIn(record, withField(record, ...UNKNOWN_FIELD)))
      expect(dimensions).toBe(NO_DIMENSIONS);
  });

  test('can be stored, whatever stands on the stream', () => {
    const long = `${'é\0'.repeat(1_000)}`;
    const { country = '', publisher_id: publisher = '' } =
      dimensionsIn(encodeClickRecord(recordOf({ country: long, publisherId: long })))[0] ?? {};
    expect(Buffer.byteLength(country)).toBeLessThanOrEqual(CLICK_TEXT_BYTES_MAX.country);
    expect(country.startsWith('é\ufffdé')).toBe(true);
    expect(publisher).not.toContain('\0');
    expect(Buffer.byteLength(publisher)).toBeLessThanOrEqual(CLICK_TEXT_BYTES_MAX.publisher_id);
  });

  test('of more sites than are remembered are right all the same', () => {
    for (let number = 0; number < 1_000; number++) {
      const record = recordOf({ country: 'DE', referrer: `https://site-${number % 300}.example/` });
      expect(dimensionsIn(encodeClickRecord(record))).toEqual([dimensionsOf(record)]);
    }
  });
});
