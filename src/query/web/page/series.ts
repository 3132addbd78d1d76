/** Rows of ads, put into the buckets of a chart: pure. */
import type { Counts, Freshness, Row, Status } from './api.ts';

export interface Bucket {
  readonly startMs: number;
  readonly status: Status;
}

export interface Series {
  readonly buckets: readonly Bucket[];
  /** By ad, a number for each bucket. */
  readonly clicks: ReadonlyMap<string, readonly number[]>;
  readonly totals: Counts;
}

const ZERO: Counts = {
  clicks: 0,
  grossClicks: 0,
  repeatClicks: 0,
  generalInvalidClicks: 0,
  sophisticatedInvalidClicks: 0,
  defectiveClicks: 0,
  testClicks: 0,
};
const RANK: Readonly<Record<Status, number>> = { PROVISIONAL: 0, SETTLED: 1, FINAL: 2 };

/**
 * @param starts first moments of all buckets, from the first on; rows elsewhere are left out
 * @param widthMs of a bucket, for its status where it has no row
 */
export function seriesOf(
  rows: Iterable<Row>,
  ads: readonly string[],
  starts: readonly number[],
  widthMs: number,
  freshness: Freshness | undefined,
): Series {
  const index = new Map(starts.map((startMs, at) => [startMs, at]));
  const statuses = starts.map((startMs) => statusOf(startMs + widthMs, freshness));
  const clicks = new Map(ads.map((ad) => [ad, starts.map(() => 0)]));
  const totals = { ...ZERO } as Record<keyof Counts, number>;
  for (const row of rows) {
    const at = index.get(Date.parse(row.from));
    const line = clicks.get(row.adId);
    if (at === undefined || line === undefined) continue;
    line[at] = row.clicks;
    if (RANK[row.status] < RANK[statuses[at] ?? 'FINAL']) statuses[at] = row.status;
    for (const name of Object.keys(ZERO) as (keyof Counts)[]) totals[name] += row[name];
  }
  const buckets = starts.map((startMs, at) => ({ startMs, status: statuses[at] ?? 'PROVISIONAL' }));
  return { buckets, clicks, totals };
}

function statusOf(endMs: number, freshness: Freshness | undefined): Status {
  const through = (moment: string | null | undefined) => (moment ? Date.parse(moment) : 0);
  if (endMs <= through(freshness?.finalThrough)) return 'FINAL';
  return endMs <= through(freshness?.settledThrough) ? 'SETTLED' : 'PROVISIONAL';
}
