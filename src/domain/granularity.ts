/** Rows wider than a minute: hours, days and months of UTC. */
import { minuteOf } from './windowCounts.ts';

export const GRANULARITIES = ['MINUTE', 'HOUR', 'DAY', 'MONTH'] as const;
export type Granularity = (typeof GRANULARITIES)[number];

const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

/** First millisecond of the bucket that holds `timeMs`. */
export function bucketStart(timeMs: number, granularity: Granularity): number {
  switch (granularity) {
    case 'MINUTE':
      return minuteOf(timeMs);
    case 'HOUR':
      return Math.floor(timeMs / HOUR_MS) * HOUR_MS;
    case 'DAY':
      return Math.floor(timeMs / DAY_MS) * DAY_MS;
    case 'MONTH': {
      const date = new Date(timeMs);
      return Date.UTC(date.getUTCFullYear(), date.getUTCMonth());
    }
  }
}

/** First millisecond after the bucket that starts at `startMs`. */
export function bucketEnd(startMs: number, granularity: Granularity): number {
  switch (granularity) {
    case 'MINUTE':
      return startMs + 60_000;
    case 'HOUR':
      return startMs + HOUR_MS;
    case 'DAY':
      return startMs + DAY_MS;
    case 'MONTH': {
      const date = new Date(startMs);
      return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1);
    }
  }
}
