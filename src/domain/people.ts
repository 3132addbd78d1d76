/**
 * How many people there were: the keys themselves while they are few, then registers (`hyperLogLog.ts`). It grows by union
 * alone (I10): what is added twice is there once, in any order. Nobody can be taken out again.
 *
 * A person's key changes with each UTC month, so keys of two months are never united: who was there in both would be two.
 */
import { USER_KEY_BYTES } from './clickRecord.ts';
import { errorText } from './errorText.ts';
import { HyperLogLog, PRECISION, STANDARD_ERROR } from './hyperLogLog.ts';

/**
 * So many keys are kept as they are: 1,600 bytes, about as much as registers take (1,700). All below the 2,000 from which on
 * PostgreSQL keeps a row's bytes elsewhere.
 */
export const EXACT_PEOPLE_MAX = 200;

/** Of the stored format: never renumber. */
const VERSION = 1;
const EXACT = 1;
const REGISTERS = 2;
/** Version, form, precision, and the month in two bytes. */
const HEAD_BYTES = 5;
const KEY_BYTES = 8;

export interface PeopleCount {
  readonly people: number;
  /** Whether every key was compared. */
  readonly exact: boolean;
  /** As a share of `people`; 0 where it is exact. */
  readonly standardError: number;
}

export class People {
  /** UTC months since 1970. */
  readonly month: number;
  /** Either keys or registers. */
  #keys: Set<bigint> | undefined = new Set();
  #registers: HyperLogLog | undefined;

  constructor(month: number) {
    this.month = month;
  }

  /** @throws Error where the bytes are not what `encode` makes of people of this month */
  static decode(bytes: Uint8Array, month: number): People {
    const people = new People(month);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    if (bytes.length < HEAD_BYTES)
      throw new Error(`a sketch of people has ${bytes.length} bytes; ${HEAD_BYTES} is the least`);
    const [version, form, precision] = bytes;
    if (version !== VERSION) throw new Error(`a sketch of people is of version ${version}, not ${VERSION}`);
    if (precision !== PRECISION)
      throw new Error(`a sketch of people has the precision ${precision}, not ${PRECISION}`);
    if (view.getUint16(3) !== month)
      throw new Error(`a sketch of people is of the month ${view.getUint16(3)} since 1970, not ${month}`);
    if (form === EXACT) people.#keys = readKeys(view);
    else if (form === REGISTERS) people.#turnInto(readRegisters(bytes.subarray(HEAD_BYTES)));
    else throw new Error(`a sketch of people has the form ${form}, which is none`);
    return people;
  }

  add(keys: Iterable<bigint>): void {
    for (const key of keys) {
      if (this.#registers !== undefined) {
        this.#registers.add(key);
      } else {
        this.#keys?.add(key);
        if ((this.#keys?.size ?? 0) > EXACT_PEOPLE_MAX) this.#turnInto(new HyperLogLog());
      }
    }
  }

  /** @throws Error where the other is of another month */
  unite(other: People): void {
    if (other.month !== this.month)
      throw new Error(`people of the months ${this.month} and ${other.month} have different keys`);
    if (other.#registers === undefined) {
      this.add(other.#keys ?? []);
    } else {
      if (this.#registers === undefined) this.#turnInto(new HyperLogLog());
      this.#registers?.unite(other.#registers);
    }
  }

  count(): PeopleCount {
    return this.#registers === undefined
      ? { people: this.#keys?.size ?? 0, exact: true, standardError: 0 }
      : { people: this.#registers.estimate(), exact: false, standardError: STANDARD_ERROR };
  }

  /** The same bytes for the same people, however they came together. */
  encode(): Buffer {
    const head = Buffer.alloc(HEAD_BYTES);
    head.set([VERSION, this.#registers === undefined ? EXACT : REGISTERS, PRECISION]);
    head.writeUInt16BE(this.month, 3);
    if (this.#registers !== undefined)
      return Buffer.concat([head, Bun.zstdCompressSync(this.#registers.registers, { level: 1 })]);
    const keys = [...(this.#keys ?? [])].sort((left, right) => (left < right ? -1 : 1));
    const body = Buffer.alloc(keys.length * KEY_BYTES);
    for (const [index, key] of keys.entries()) body.writeBigUInt64BE(key, index * KEY_BYTES);
    return Buffer.concat([head, body]);
  }

  /** From now on registers; whoever is known by key is in them. */
  #turnInto(registers: HyperLogLog): void {
    for (const key of this.#keys ?? []) registers.add(key);
    this.#keys = undefined;
    this.#registers = registers;
  }
}

/** What stands for a person: the first half of their key, which is as good as random. undefined: nobody is known. */
export function personOf(userKey: Uint8Array): bigint | undefined {
  return userKey.length === USER_KEY_BYTES ? personAt(userKey, 0) : undefined;
}

const half = new Uint8Array(KEY_BYTES);
const halfAsNumber = new DataView(half.buffer);

/** The same of a key that begins there in the bytes. */
export function personAt(bytes: Uint8Array, start: number): bigint {
  for (let index = 0; index < KEY_BYTES; index++) half[index] = bytes[start + index] ?? 0;
  return halfAsNumber.getBigUint64(0);
}

/** UTC months since 1970, of the month that holds this moment. */
export function peopleMonthOf(timeMs: number): number {
  const date = new Date(timeMs);
  return (date.getUTCFullYear() - 1970) * 12 + date.getUTCMonth();
}

function readKeys(view: DataView): Set<bigint> {
  const count = (view.byteLength - HEAD_BYTES) / KEY_BYTES;
  if (!Number.isInteger(count) || count > EXACT_PEOPLE_MAX)
    throw new Error(
      `a sketch of people has ${view.byteLength} bytes, which is no list of up to ${EXACT_PEOPLE_MAX} keys`,
    );
  const keys = new Set<bigint>();
  for (let index = 0; index < count; index++) keys.add(view.getBigUint64(HEAD_BYTES + index * KEY_BYTES));
  if (keys.size !== count) throw new Error('a sketch of people holds a key twice');
  return keys;
}

function readRegisters(packed: Uint8Array): HyperLogLog {
  let registers: Uint8Array;
  try {
    registers = Bun.zstdDecompressSync(packed);
  } catch (error) {
    throw new Error('the registers of a sketch of people cannot be unpacked', { cause: error });
  }
  try {
    return HyperLogLog.of(registers);
  } catch (error) {
    throw new Error(`a sketch of people is damaged: ${errorText(error)}`, { cause: error });
  }
}
