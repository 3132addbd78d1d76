/** The memory of last-seen times held against a plain map of texts, beyond every size at which it grows. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SeenTimes, uuidHash } from '../../src/domain/seenTimes.ts';
import { uuid7At } from '../support/clicks.ts';

interface Seen {
  readonly space: number;
  readonly uuid: Uint8Array;
  readonly seconds: number;
}

const keyOf = ({ space, uuid }: Seen) => `${space} ${uuid.toHex()}`;

/** Each UUID differs from the others in one bit only, wherever that is. */
const seen: fc.Arbitrary<Seen> = fc
  .record({
    space: fc.constantFrom(0, 1, 2, 2 ** 32 - 1),
    bit: fc.integer({ min: 0, max: 127 }),
    seconds: fc.constantFrom(0, 1, 1_750_000_000, 2 ** 32 - 2),
  })
  .map(({ space, bit, seconds }) => {
    const uuid = new Uint8Array(16);
    uuid[bit >> 3] = 1 << (bit & 7);
    return { space, uuid, seconds };
  });

function expectAlike(all: readonly Seen[], entriesExpected = 0): void {
  const times = new SeenTimes(entriesExpected);
  const entries = new Map<string, number>();
  const plain = new Map<string, number>();
  for (const each of all) {
    const key = keyOf(each);
    const entry = times.entryOf(each.space, each.uuid);
    expect(entry).toBe(entries.get(key) ?? entries.size);
    entries.set(key, entry);
    expect(times.lastSeen(entry)).toBe(plain.get(key));
    times.see(entry, each.seconds);
    plain.set(key, each.seconds);
  }
  for (const each of all)
    expect(times.lastSeen(times.entryOf(each.space, each.uuid))).toBe(plain.get(keyOf(each)));
}

describe('last-seen times', () => {
  it('are those of a plain map, for UUIDs that hardly differ', () => {
    fc.assert(fc.property(fc.array(seen, { maxLength: 400 }), (all) => expectAlike(all)));
  });

  it.each([0, 1, 2, 3, 4])('stay while the memory grows, of keys that differ in word %i alone', (word) => {
    const all = Array.from({ length: 10_000 }, (_, number) => {
      const words = new DataView(new ArrayBuffer(16));
      if (word > 0) words.setUint32(4 * (word - 1), number);
      return { space: word === 0 ? number : 7, uuid: new Uint8Array(words.buffer), seconds: number };
    });
    for (const expected of [0, 3_000, 10_000, 20_000]) expectAlike([...all, ...all], expected);
  });

  it('of UUIDs that share a hash are kept apart', () => {
    const byHash = new Map<number, Uint8Array>();
    // Of 300,000 some ten pairs do; the hash is a permutation of each word, so two words must differ.
    for (let number = 0; number < 300_000; number++) {
      const uuid = uuid7At(number * 2 ** 16, number % 991);
      const other = byHash.get(uuidHash(uuid));
      byHash.set(uuidHash(uuid), uuid);
      if (other === undefined) continue;
      expectAlike([uuid, other, uuid, other].map((each, seconds) => ({ space: 0, uuid: each, seconds })));
      return;
    }
    throw new Error('no two share a hash');
  });
});
