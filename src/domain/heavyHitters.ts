/**
 * The keys that make up most of what is counted, in bounded memory: the counters of Misra and Gries, which are those of
 * Space-Saving less the same amount each, and give the same bound. A key that finds no room takes the median off all
 * counters at once, and with it at least half of them away: so most clicks cost one step in a map, and a sort comes once
 * in thousands of them.
 *
 * Its bound: what was counted of a key is at least `least` and at most `least + missed`, whether the key is held or not
 * (then `least` is 0); and `missed` is at most 2 / (countersMax + 1) of all that was counted.
 */

export interface HeavyHitter {
  readonly key: string;
  /** No more than was counted of it. */
  readonly least: number;
}

export class HeavyHitters {
  readonly #countersMax: number;
  /** Room for one counter more than there may be. */
  readonly #sorting: Float64Array;
  #counts = new Map<string, number>();
  #missed = 0;

  constructor(countersMax: number) {
    this.#countersMax = countersMax;
    this.#sorting = new Float64Array(countersMax + 1);
  }

  /** By how much any key may have been counted more than is known of it. */
  get missed(): number {
    return this.#missed;
  }

  add(key: string, weight: number): void {
    const before = this.#counts.get(key);
    this.#counts.set(key, before === undefined ? weight : before + weight);
    if (before === undefined && this.#counts.size > this.#countersMax) this.#makeRoom();
  }

  /** Makes everything counted so far weigh `factor` of what it did. */
  scale(factor: number): void {
    for (const [key, count] of this.#counts) this.#counts.set(key, count * factor);
    this.#missed *= factor;
  }

  /** Those of which most was counted, at most `most` of them, the heaviest first. */
  top(most: number): HeavyHitter[] {
    return [...this.#counts]
      .map(([key, least]) => ({ key, least }))
      .sort((one, other) => other.least - one.least)
      .slice(0, most);
  }

  #makeRoom(): void {
    const counts = this.#sorting;
    let at = 0;
    for (const count of this.#counts.values()) counts[at++] = count;
    counts.sort();
    const median = counts[counts.length >> 1] ?? 0;
    // Made anew: thousands of deletes out of a map cost twice as much.
    const kept = new Map<string, number>();
    for (const [key, count] of this.#counts) if (count > median) kept.set(key, count - median);
    this.#counts = kept;
    this.#missed += median;
  }
}
