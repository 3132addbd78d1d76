/**
 * What is counted of one ad in one minute window, and the fingerprint of the counted clicks. Everything here adds
 * up (I10): a delta is added to what is stored, whoever counted it.
 */
import type { RefusedDisposition } from './judge.ts';

/** VALID and REPEAT come from the fold, the rest from the judge. Every received click has exactly one (I12). */
export type Disposition = 'VALID' | 'REPEAT' | RefusedDisposition;

/** Whether such clicks are of people, who are counted: they are neither of programs nor impossible nor tests. */
export function isPersons(disposition: Disposition): boolean {
  return disposition === 'VALID' || disposition === 'REPEAT';
}

export const MINUTE_MS = 60_000;

/** The minute window that holds this moment: its first millisecond. */
export function minuteOf(timeMs: number): number {
  return Math.floor(timeMs / MINUTE_MS) * MINUTE_MS;
}

export interface DispositionCounts {
  valid: number;
  repeat: number;
  givt: number;
  sivt: number;
  defective: number;
  test: number;
}

export interface WindowCounts extends DispositionCounts {
  /**
   * Sums over a 64-bit hash of every counted click and its disposition, high and low half apart. A half is below
   * 2^32, so 2^21 clicks fit a number exactly and 2^31 fit PostgreSQL's bigint.
   */
  fingerprintHigh: number;
  fingerprintLow: number;
}

/** So many clicks at most may be summed into one `WindowCounts` before it is flushed. */
export const WINDOW_CLICKS_MAX = 2 ** 21;

export function emptyCounts(): WindowCounts {
  return {
    valid: 0,
    repeat: 0,
    givt: 0,
    sivt: 0,
    defective: 0,
    test: 0,
    fingerprintHigh: 0,
    fingerprintLow: 0,
  };
}

export function emptyDispositions(): DispositionCounts {
  return { valid: 0, repeat: 0, givt: 0, sivt: 0, defective: 0, test: 0 };
}

const COLUMN: Readonly<Record<Disposition, keyof DispositionCounts>> = {
  VALID: 'valid',
  REPEAT: 'repeat',
  GIVT: 'givt',
  SIVT: 'sivt',
  DEFECTIVE: 'defective',
  TEST: 'test',
};

/** The byte that stands for a disposition in the fingerprint. Part of the stored format: never renumber. */
const FINGERPRINT_CODE: Readonly<Record<Disposition, number>> = {
  VALID: 1,
  REPEAT: 2,
  GIVT: 3,
  SIVT: 4,
  DEFECTIVE: 5,
  TEST: 6,
};

const FINGERPRINT_SEED = 0x66696e6765727072n;
const hashed = new Uint8Array(17);
const hash = new BigUint64Array(1);
const halves = new Uint32Array(hash.buffer);

/** Counts one click, without a fingerprint. */
export function countDisposition(counts: DispositionCounts, disposition: Disposition): void {
  counts[COLUMN[disposition]] += 1;
}

/** Counts one click. */
export function countClick(counts: WindowCounts, clickId: Uint8Array, disposition: Disposition): void {
  countDisposition(counts, disposition);
  hashed.set(clickId);
  hashed[16] = FINGERPRINT_CODE[disposition];
  hash[0] = Bun.hash.xxHash64(hashed, FINGERPRINT_SEED);
  counts.fingerprintLow += halves[0] ?? 0;
  counts.fingerprintHigh += halves[1] ?? 0;
}

/** Adds `delta` to `counts`. */
export function addCounts(counts: WindowCounts, delta: Readonly<WindowCounts>): void {
  addDispositions(counts, delta);
  counts.fingerprintHigh += delta.fingerprintHigh;
  counts.fingerprintLow += delta.fingerprintLow;
}

/** Adds what was counted of each disposition, without the fingerprint. */
export function addDispositions(counts: DispositionCounts, delta: Readonly<DispositionCounts>): void {
  counts.valid += delta.valid;
  counts.repeat += delta.repeat;
  counts.givt += delta.givt;
  counts.sivt += delta.sivt;
  counts.defective += delta.defective;
  counts.test += delta.test;
}
