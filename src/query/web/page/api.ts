/** Questions to the service that the page came from, and its answers. */

export type Status = 'PROVISIONAL' | 'SETTLED' | 'FINAL';

export interface Counts {
  readonly clicks: number;
  readonly grossClicks: number;
  readonly repeatClicks: number;
  readonly generalInvalidClicks: number;
  readonly sophisticatedInvalidClicks: number;
  readonly defectiveClicks: number;
  readonly testClicks: number;
}

export interface Freshness {
  readonly arrivedThrough: string | null;
  readonly partial: boolean;
  readonly missingShards: readonly number[];
  readonly settledThrough: string | null;
  readonly finalThrough: string | null;
}

/** Counts of an ad from `from` on. */
export interface Row extends Counts {
  readonly adId: string;
  readonly from: string;
  readonly status: Status;
}

export interface Changes {
  readonly rows: readonly (Counts & { adId: string; minute: string; status: Status })[];
  readonly freshness: Freshness;
}

export interface Aggregates {
  readonly rows: readonly Row[];
  readonly freshness: Freshness;
}

export interface Top {
  readonly entries: readonly (Counts & { value: string })[];
  readonly total: Counts;
  readonly status: Status;
}

export interface Ads {
  readonly ads: readonly { adId: string; campaignId: string; status: string }[];
}

export type Query = Readonly<Record<string, string | readonly string[]>>;

export function address(path: string, query: Query): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const one of [value].flat()) search.append(name, one);
  }
  return `${path}?${search}`;
}

/** @throws Error with words for a person */
export async function ask<T>(path: string, query: Query, signal: AbortSignal): Promise<T> {
  const response = await fetch(address(path, query), { signal });
  if (!response.ok) throw new Error(await wordsOf(response));
  return (await response.json()) as T;
}

/** Why a request failed. */
export async function wordsOf(response: Response): Promise<string> {
  const problem = (await response.json().catch(() => ({}))) as { detail?: string };
  return problem.detail ?? `the service answered ${response.status}`;
}
