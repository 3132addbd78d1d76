/** Who clicked, as a record on the stream says it: alike however the record is read. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  decodeClickBatch,
  encodeClickBatch,
  encodeClickRecord,
} from '../../../src/adapters/nats/clickBatchCodec.ts';
import { personOf } from '../../../src/domain/people.ts';
import { clickRecord } from '../../support/anyClick.ts';
import { recordOf } from '../../support/clicks.ts';

/** A field that no contract has: the record is not plain. */
const UNKNOWN_FIELD = [0xf8, 0x07, 0x01];
const USER_KEY = 0x62;

function personsIn(...records: Uint8Array[]): (bigint | undefined)[] | undefined {
  return decodeClickBatch(encodeClickBatch(1, records))?.records.map(({ person }) => person);
}

const withField = (bytes: Uint8Array, ...more: number[]) => Uint8Array.from([...bytes, ...more]);

test('the person of a record is that of its key', () => {
  fc.assert(
    fc.property(fc.array(clickRecord, { maxLength: 4 }), (records) => {
      const bytes = records.map(encodeClickRecord);
      const expected = records.map(({ userKey }) => personOf(userKey));
      expect(personsIn(...bytes)).toEqual(expected);
      expect(personsIn(...bytes.map((one) => withField(one, ...UNKNOWN_FIELD)))).toEqual(expected);
    }),
  );
});

test.each([0, 1, 8, 15, 16, 17])(
  'a further key of %i bytes is read alike in plain records and others',
  (length) => {
    const before = encodeClickRecord(recordOf({ userKey: new Uint8Array(16).fill(7) }));
    const key = Array.from({ length }, (_, index) => index + 1);
    const plain = withField(before, USER_KEY, length, ...key);
    const expected = [length === 16 ? 0x0102030405060708n : undefined];
    expect(personsIn(plain)).toEqual(expected);
    expect(personsIn(withField(plain, ...UNKNOWN_FIELD))).toEqual(expected);
  },
);
