/**
 * The registers of a HyperLogLog sketch: how many different 64-bit keys there were, in 4 KB. The only file that knows
 * hyperloglog-lite, which keeps them, and guards against what it takes without a word: registers of another length, values
 * that cannot be, its own live buffer handed out.
 *
 * Its estimate is not used: it is 2.4 % too high where it changes its formula, at 2.5 keys a register. This one is the
 * improved raw estimator of O. Ertl, "New cardinality estimation algorithms for HyperLogLog sketches", arXiv 1702.01284,
 * algorithm 6, which needs no such change.
 */
import hyperLogLog from 'hyperloglog-lite';

/** Registers are 2 to the power of it. */
export const PRECISION = 12;
export const REGISTERS = 2 ** PRECISION;
/** The standard error of an estimate, as a share of it. */
export const STANDARD_ERROR = 1.04 / Math.sqrt(REGISTERS);

/** The library finds the lowest 1 among 64 bits: place 1 to 64, or 65 where all are 0. */
const KEY_BITS = 64;
const REGISTER_MAX = KEY_BITS + 1;

const key = new BigUint64Array(1);
const halves = new Uint32Array(key.buffer);
/** The library takes the register from the first word, the place of the lowest 1 from the last and the third. */
const words = [0, 0, 0, 0];

export class HyperLogLog {
  readonly #sketch = hyperLogLog(PRECISION);

  /** @throws Error where these cannot be registers of such a sketch */
  static of(registers: Uint8Array): HyperLogLog {
    const made = new HyperLogLog();
    made.#merge(registers);
    return made;
  }

  /** @param value 64 bits that are as good as random */
  add(value: bigint): void {
    key[0] = value;
    const [low = 0, high = 0] = halves;
    words[0] = high;
    words[2] = high;
    words[3] = low;
    this.#sketch.add(words);
  }

  /** Afterwards it is as if everything added to `other` had been added here too. */
  unite(other: HyperLogLog): void {
    this.#merge(other.#live);
  }

  /** A copy. */
  get registers(): Uint8Array {
    return Uint8Array.from(this.#live);
  }

  /** How many different keys were added. */
  estimate(): number {
    const counts = new Float64Array(REGISTER_MAX + 1);
    for (const register of this.#live) counts[register] = (counts[register] ?? 0) + 1;
    let sum = REGISTERS * tau(1 - (counts[REGISTER_MAX] ?? 0) / REGISTERS);
    for (let register = KEY_BITS; register >= 1; register--) sum = 0.5 * (sum + (counts[register] ?? 0));
    sum += REGISTERS * sigma((counts[0] ?? 0) / REGISTERS);
    return Math.round((REGISTERS * REGISTERS) / (2 * Math.LN2 * sum));
  }

  get #live(): Uint8Array {
    return this.#sketch.output().buckets;
  }

  #merge(registers: Uint8Array): void {
    if (registers.length !== REGISTERS)
      throw new Error(`there are ${registers.length} registers instead of ${REGISTERS}`);
    const wrong = registers.find((register) => register > REGISTER_MAX);
    if (wrong !== undefined) throw new Error(`a register is ${wrong}; ${REGISTER_MAX} is the most`);
    this.#sketch.merge({ n: PRECISION, buckets: registers });
  }
}

/** What the registers that are 0 say. Infinity where all of them are: then there was nothing. */
function sigma(share: number): number {
  if (share === 1) return Infinity;
  let sum = share;
  for (let power = share, weight = 1, before = -1; sum !== before; weight *= 2) {
    power *= power;
    before = sum;
    sum += power * weight;
  }
  return sum;
}

/** What the registers that are full say. */
function tau(share: number): number {
  if (share === 0 || share === 1) return 0;
  let sum = 1 - share;
  for (let root = share, weight = 0.5, before = -1; sum !== before; weight *= 0.5) {
    root = Math.sqrt(root);
    before = sum;
    sum -= (1 - root) ** 2 * weight;
  }
  return sum / 3;
}
