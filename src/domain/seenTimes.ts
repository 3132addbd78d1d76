/**
 * When each of many UUIDs was last seen, in a memory of flat numbers: 24 bytes a UUID, and 8 to 16 to find it, where a map
 * of texts takes 120. Whole UUIDs are compared, so no two of them can be taken for one another.
 *
 * A table with open addressing: a slot holds the number of an entry, a taken slot sends the search to the next one.
 */

/** Of an entry: the space, the UUID's four words, the second it was last seen, plus 1. */
const ENTRY_WORDS = 6;
const SECONDS_AT = 5;
const ENTRIES_MIN = 1_024;
/** Slots for each entry that there is room for: at most half of them are taken. */
const SLOTS_AN_ENTRY = 2;

/** Entries are numbered from 0 in the order in which they came; nothing is ever forgotten. */
export class SeenTimes {
  #entries: Uint32Array;
  /** Number of the entry plus 1; 0: free. A power of two of them. */
  #slots: Uint32Array;
  #count = 0;

  /** @param entriesExpected beyond so many it grows, which takes twice the memory for a moment */
  constructor(entriesExpected: number) {
    const room = Math.max(ENTRIES_MIN, entriesExpected + 1);
    this.#entries = new Uint32Array(room * ENTRY_WORDS);
    this.#slots = new Uint32Array(2 ** Math.ceil(Math.log2(room * SLOTS_AN_ENTRY)));
  }

  /** The number of the UUID's entry; where it has none it gets one, never seen. @param space a number of 32 bits */
  entryOf(space: number, uuid: Uint8Array): number {
    const first = wordAt(uuid, 0);
    const second = wordAt(uuid, 4);
    const third = wordAt(uuid, 8);
    const fourth = wordAt(uuid, 12);
    const entries = this.#entries;
    const last = this.#slots.length - 1;
    let slot = hashOf(space, first, second, third, fourth) & last;
    for (let taken = this.#slots[slot]; taken !== undefined && taken > 0; taken = this.#slots[slot]) {
      const at = (taken - 1) * ENTRY_WORDS;
      const isIt =
        entries[at + 4] === fourth &&
        entries[at + 3] === third &&
        entries[at + 2] === second &&
        entries[at + 1] === first &&
        entries[at] === space;
      if (isIt) return taken - 1;
      slot = (slot + 1) & last;
    }
    const entry = this.#count;
    const at = entry * ENTRY_WORDS;
    entries[at] = space;
    entries[at + 1] = first;
    entries[at + 2] = second;
    entries[at + 3] = third;
    entries[at + 4] = fourth;
    this.#slots[slot] = entry + 1;
    this.#count += 1;
    if (this.#count * ENTRY_WORDS === entries.length) this.#grow();
    return entry;
  }

  /** undefined: never. */
  lastSeen(entry: number): number | undefined {
    const seconds = this.#entries[entry * ENTRY_WORDS + SECONDS_AT] ?? 0;
    return seconds === 0 ? undefined : seconds - 1;
  }

  see(entry: number, seconds: number): void {
    this.#entries[entry * ENTRY_WORDS + SECONDS_AT] = seconds + 1;
  }

  #grow(): void {
    const entries = new Uint32Array(this.#entries.length * 2);
    entries.set(this.#entries);
    this.#entries = entries;
    const slots = new Uint32Array(this.#slots.length * 2);
    const last = slots.length - 1;
    const word = (index: number) => entries[index] ?? 0;
    for (let entry = 0; entry < this.#count; entry++) {
      const at = entry * ENTRY_WORDS;
      let slot = hashOf(word(at), word(at + 1), word(at + 2), word(at + 3), word(at + 4)) & last;
      while (slots[slot] !== 0) slot = (slot + 1) & last;
      slots[slot] = entry + 1;
    }
    this.#slots = slots;
  }
}

/** 32 bits that depend on every bit of the UUID. */
export function uuidHash(uuid: Uint8Array): number {
  return hashOf(0, wordAt(uuid, 0), wordAt(uuid, 4), wordAt(uuid, 8), wordAt(uuid, 12));
}

/** The mixing steps of MurmurHash3 (32 bits) over the five words. */
function hashOf(space: number, first: number, second: number, third: number, fourth: number): number {
  let hash = mixed(0, space);
  hash = mixed(hash, first);
  hash = mixed(hash, second);
  hash = mixed(hash, third);
  hash = mixed(hash, fourth);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function mixed(hash: number, word: number): number {
  const scrambled = Math.imul(word, 0xcc9e_2d51);
  const with1 = hash ^ Math.imul((scrambled << 15) | (scrambled >>> 17), 0x1b87_3593);
  return (Math.imul((with1 << 13) | (with1 >>> 19), 5) + 0xe654_6b64) | 0;
}

function wordAt(bytes: Uint8Array, at: number): number {
  const high = ((bytes[at] ?? 0) << 24) | ((bytes[at + 1] ?? 0) << 16);
  return (high | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0)) >>> 0;
}
