/** The figure in the middle. */

/** The lower one of the two where there is no one; 0 of nothing. */
export function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[Math.floor((values.length - 1) / 2)] ?? 0;
}
