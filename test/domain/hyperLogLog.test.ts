import { describe, expect, test } from 'vitest';
import { HyperLogLog, REGISTERS, STANDARD_ERROR } from '../../src/domain/hyperLogLog.ts';

/** Sizes, and how often each is tried with other keys; the keys are the same in every run. */
const TRIALS: readonly (readonly [size: number, seeds: number])[] = [
  [100, 48],
  [300, 48],
  [1_000, 48],
  [3_000, 48],
  [10_000, 48],
  [10_240, 48],
  [12_000, 48],
  [30_000, 48],
  [100_000, 48],
  [300_000, 16],
  [1_000_000, 16],
];

describe('registers', () => {
  test('estimate within 1.3 times the theory, without bias, from 100 to 1,000,000', {
    timeout: 120_000,
  }, () => {
    const errors = new Map<number, number[]>(TRIALS.map(([size]) => [size, []]));
    for (let seed = 0; seed < 48; seed++) {
      const sketch = new HyperLogLog();
      let added = 0;
      for (const [size, seeds] of TRIALS) {
        if (seed >= seeds) break;
        for (; added < size; added++) sketch.add(keyOf(seed, added));
        errors.get(size)?.push((sketch.estimate() - size) / size);
      }
    }
    for (const [size, seeds] of TRIALS) {
      const all = errors.get(size) ?? [];
      expect(all.length).toBe(seeds);
      const standardError = Math.sqrt(mean(all.map((error) => error ** 2)));
      expect(standardError, `${size} keys`).toBeLessThan(1.3 * STANDARD_ERROR);
      expect(Math.abs(mean(all)), `bias at ${size} keys`).toBeLessThan(
        (3 * STANDARD_ERROR) / Math.sqrt(seeds),
      );
    }
  });

  test('of nothing are nobody, and of very many still a number', () => {
    expect(new HyperLogLog().estimate()).toBe(0);
    expect(HyperLogLog.of(new Uint8Array(REGISTERS).fill(40)).estimate()).toBeGreaterThan(1e15);
    expect(HyperLogLog.of(new Uint8Array(REGISTERS).fill(64)).estimate()).toBeGreaterThan(1e22);
  });

  test('unite into what one sketch of all would hold', () => {
    const [one, other, both] = [new HyperLogLog(), new HyperLogLog(), new HyperLogLog()];
    for (let index = 0; index < 5_000; index++) {
      (index % 3 === 0 ? one : other).add(keyOf(1, index));
      both.add(keyOf(1, index));
    }
    one.unite(other);
    expect(one.registers).toEqual(both.registers);
    expect(one.estimate()).toBe(both.estimate());
  });

  test('are a copy: what is added later is not in it', () => {
    const sketch = new HyperLogLog();
    const before = sketch.registers;
    sketch.add(keyOf(1, 1));
    expect(before.every((register) => register === 0)).toBe(true);
  });

  test('that cannot be are refused by name', () => {
    expect(() => HyperLogLog.of(new Uint8Array(100))).toThrow(`100 registers instead of ${REGISTERS}`);
    expect(() => HyperLogLog.of(new Uint8Array(REGISTERS).fill(66))).toThrow(
      'a register is 66; 65 is the most',
    );
  });

  test('take the key 0, of which no bit is 1', () => {
    const sketch = new HyperLogLog();
    sketch.add(0n);
    expect(Math.max(...sketch.registers)).toBe(65);
    expect(HyperLogLog.of(sketch.registers).estimate()).toBe(1);
  });
});

function keyOf(seed: number, index: number): bigint {
  return Bun.hash.xxHash64(`person ${index}`, BigInt(seed));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
