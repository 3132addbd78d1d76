/**
 * The largest sums over several lists that are sorted each by its own part of the sum, without reading all of them: the
 * threshold algorithm (Fagin, Lotem and Naor, "Optimal aggregation algorithms for middleware", 2001). Who stands in none
 * of the first `depth` places of any list has at most the sum of what stands in their last ones. Pure.
 */

/** How deep lists are looked into, one after the other, before all of everything is read. */
export const DEPTHS: readonly number[] = [250, 4_000, 64_000];

/**
 * Whether nobody else can be among the first `most`.
 * @param values of those that were found in the lists, each whole, from the largest on
 * @param lasts the part of the sum in the last place that was read of each list; 0 where a list was read to its end
 */
export function isDecided(values: readonly number[], most: number, lasts: readonly number[]): boolean {
  const threshold = lasts.reduce((sum, last) => sum + last, 0);
  // Equal ones are ordered by name, so somebody unseen with just as much could still come before.
  return threshold === 0 || (values.length >= most && (values[most - 1] ?? 0) > threshold);
}
