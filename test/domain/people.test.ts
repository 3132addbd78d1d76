import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { STANDARD_ERROR } from '../../src/domain/hyperLogLog.ts';
import { EXACT_PEOPLE_MAX, People, peopleMonthOf, personOf } from '../../src/domain/people.ts';

const MONTH = peopleMonthOf(Date.UTC(2025, 9, 15));

/** From nobody to well beyond the border, with many in common. */
const someKeys = fc
  .record({ from: fc.nat({ max: 300 }), count: fc.nat({ max: 450 }) })
  .map(({ from, count }) => Array.from({ length: count }, (_, index) => keyOf(from + index)));

describe('people', () => {
  test('are counted by key up to the border, and estimated beyond', () => {
    const people = peopleOf(keys(EXACT_PEOPLE_MAX));
    expect(people.count()).toEqual({ people: EXACT_PEOPLE_MAX, exact: true, standardError: 0 });
    people.add(keys(EXACT_PEOPLE_MAX));
    expect(people.count().exact).toBe(true);
    people.add([keyOf(EXACT_PEOPLE_MAX)]);
    expect(people.count()).toMatchObject({ exact: false, standardError: STANDARD_ERROR });
    expect(Math.abs(people.count().people / (EXACT_PEOPLE_MAX + 1) - 1)).toBeLessThan(3 * STANDARD_ERROR);
  });

  test('turn into registers without losing anybody', () => {
    const turned = peopleOf(keys(EXACT_PEOPLE_MAX + 1));
    const again = peopleOf(keys(EXACT_PEOPLE_MAX + 1));
    // Whoever is in the registers changes nothing when added again.
    again.add(keys(EXACT_PEOPLE_MAX + 1));
    expect(again.encode()).toEqual(turned.encode());
    for (const missing of [0, EXACT_PEOPLE_MAX / 2, EXACT_PEOPLE_MAX]) {
      const without = peopleOf(
        [...keys(EXACT_PEOPLE_MAX + 1), ...keys(900).slice(300)].filter((key) => key !== keyOf(missing)),
      );
      without.add([keyOf(missing)]);
      expect(without.encode()).toEqual(
        peopleOf([...keys(EXACT_PEOPLE_MAX + 1), ...keys(900).slice(300)]).encode(),
      );
    }
  });

  test('unite in any order, any grouping, and twice, to the same bytes', () => {
    fc.assert(
      fc.property(someKeys, someKeys, someKeys, (first, second, third) => {
        const all = peopleOf([...first, ...second, ...third]).encode();
        expect(united(peopleOf(first), united(peopleOf(second), peopleOf(third))).encode()).toEqual(all);
        expect(united(united(peopleOf(third), peopleOf(first)), peopleOf(second)).encode()).toEqual(all);
        const twice = united(united(peopleOf(second), peopleOf(first)), peopleOf(third));
        expect(united(twice, peopleOf(first)).encode()).toEqual(all);
      }),
      { numRuns: 60 },
    );
  });

  test('come back from their bytes as they were', () => {
    fc.assert(
      fc.property(someKeys, (some) => {
        const people = peopleOf(some);
        const back = People.decode(people.encode(), MONTH);
        expect(back.count()).toEqual(people.count());
        expect(back.encode()).toEqual(people.encode());
      }),
      { numRuns: 60 },
    );
  });

  test('take 13 bytes for one person, and never more than 2,000', () => {
    expect(peopleOf(keys(1)).encode().length).toBe(13);
    for (const count of [EXACT_PEOPLE_MAX, EXACT_PEOPLE_MAX + 1, 3_000, 100_000])
      expect(peopleOf(keys(count)).encode().length, `${count} people`).toBeLessThan(1_800);
  });

  test('of two months are not united', () => {
    expect(() => new People(MONTH).unite(new People(MONTH + 1))).toThrow('have different keys');
  });

  test.each([
    ['too short', (bytes: Buffer) => bytes.subarray(0, 4), 'has 4 bytes; 5 is the least'],
    ['another version', (bytes: Buffer) => changed(bytes, 0, 2), 'is of version 2, not 1'],
    ['another form', (bytes: Buffer) => changed(bytes, 1, 3), 'has the form 3, which is none'],
    ['another precision', (bytes: Buffer) => changed(bytes, 2, 14), 'has the precision 14, not 12'],
    ['another month', (bytes: Buffer) => changed(bytes, 4, 0), 'is of the month'],
    ['half a key', (bytes: Buffer) => bytes.subarray(0, -3), 'which is no list of up to 200 keys'],
    [
      'too many keys',
      (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc(8 * 200)]),
      'no list of up to 200 keys',
    ],
    ['a key twice', (bytes: Buffer) => Buffer.concat([bytes, bytes.subarray(-8)]), 'holds a key twice'],
    ['keys for registers', (bytes: Buffer) => changed(bytes, 1, 2), 'cannot be unpacked'],
  ])('that were damaged are refused: %s', (_, damage, words) => {
    expect(() => People.decode(damage(peopleOf(keys(3)).encode()), MONTH)).toThrow(words);
  });

  test('with registers that cannot be are refused', () => {
    const head = peopleOf(keys(1_000)).encode().subarray(0, 5);
    const stored = (registers: Uint8Array) => Buffer.concat([head, Bun.zstdCompressSync(registers)]);
    expect(() => People.decode(stored(new Uint8Array(100)), MONTH)).toThrow(
      'damaged: there are 100 registers',
    );
    expect(() => People.decode(stored(new Uint8Array(4_096).fill(66)), MONTH)).toThrow(
      'damaged: a register is 66',
    );
  });
});

describe('a person', () => {
  test('is the first half of the key, wherever its bytes lie', () => {
    const userKey = Uint8Array.from({ length: 16 }, (_, index) => index + 1);
    const inside = new Uint8Array(40);
    inside.set(userKey, 11);
    expect(personOf(userKey)).toBe(0x0102030405060708n);
    expect(personOf(inside.subarray(11, 27))).toBe(0x0102030405060708n);
  });

  test('is nobody where the key is none', () => {
    expect(personOf(new Uint8Array(0))).toBeUndefined();
    expect(personOf(new Uint8Array(15))).toBeUndefined();
  });
});

test('months are those of UTC', () => {
  expect(peopleMonthOf(0)).toBe(0);
  expect(peopleMonthOf(Date.UTC(2025, 11, 31, 23, 59, 59, 999))).toBe(55 * 12 + 11);
  expect(peopleMonthOf(Date.UTC(2026, 0, 1))).toBe(56 * 12);
});

function keyOf(index: number): bigint {
  return Bun.hash.xxHash64(`person ${index}`);
}

function keys(count: number): bigint[] {
  return Array.from({ length: count }, (_, index) => keyOf(index));
}

function peopleOf(some: readonly bigint[]): People {
  const people = new People(MONTH);
  people.add(some);
  return people;
}

function united(people: People, other: People): People {
  people.unite(other);
  return people;
}

function changed(bytes: Buffer, at: number, value: number): Buffer {
  bytes[at] = value;
  return bytes;
}
