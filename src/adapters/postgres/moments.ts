/** Moments of PostgreSQL as milliseconds since the Unix epoch, as pieces of SQL. */

/** -Infinity where the moment is. */
export function milliseconds(moment: string): string {
  return `(extract(epoch from ${moment}) * 1000)::float8`;
}

/** Of a moment that is on a whole millisecond, and finite. */
export function wholeMilliseconds(moment: string): string {
  return `(extract(epoch from ${moment}) * 1000)::bigint`;
}
