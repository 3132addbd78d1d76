/** The stored rows of people: an ad's whole days of UTC have a row each, and so have its hours. */

export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;

/** The stretch of time of a row. */
export interface PeopleSpan {
  readonly hours: 1 | 24;
  /** First millisecond. */
  readonly startMs: number;
}

/** The rows that make up [fromMs, toMs), which is on whole hours of UTC: as few as there are. */
export function* spansOf(range: { readonly fromMs: number; readonly toMs: number }): Generator<PeopleSpan> {
  for (let startMs = range.fromMs; startMs < range.toMs; ) {
    const hours = startMs % DAY_MS === 0 && startMs + DAY_MS <= range.toMs ? 24 : 1;
    yield { hours, startMs };
    startMs += hours * HOUR_MS;
  }
}

/** The rows that hold a moment. */
export function spansAround(timeMs: number): readonly [hour: PeopleSpan, day: PeopleSpan] {
  return [
    { hours: 1, startMs: Math.floor(timeMs / HOUR_MS) * HOUR_MS },
    { hours: 24, startMs: Math.floor(timeMs / DAY_MS) * DAY_MS },
  ];
}
