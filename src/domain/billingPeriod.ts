/** Billing periods: UTC months, half-open, closed one after the other. */

export interface BillingPeriod {
  /** First millisecond. */
  readonly startsMs: number;
  /** First millisecond after it. */
  readonly endsMs: number;
}

/** `2026-10`; undefined where the text is no month. */
export function parsePeriod(text: string): BillingPeriod | undefined {
  const [, year, month] = /^(\d{4})-(0[1-9]|1[0-2])$/.exec(text) ?? [];
  if (year === undefined || month === undefined) return undefined;
  return monthFrom(Date.parse(`${year}-${month}-01T00:00:00Z`));
}

/** The period that holds this moment. */
export function periodOf(timeMs: number): BillingPeriod {
  const date = new Date(timeMs);
  date.setUTCDate(1);
  date.setUTCHours(0, 0, 0, 0);
  return monthFrom(date.getTime());
}

export function formatPeriod({ startsMs }: BillingPeriod): string {
  return new Date(startsMs).toISOString().slice(0, -'-01T00:00:00.000Z'.length);
}

function monthFrom(startsMs: number): BillingPeriod {
  const end = new Date(startsMs);
  end.setUTCMonth(end.getUTCMonth() + 1);
  return { startsMs, endsMs: end.getTime() };
}

export type CloseOutcome =
  | { readonly kind: 'closed' }
  | { readonly kind: 'already'; readonly closedAtMs: number }
  /** Everything before the first period that was closed is final, without being in one. */
  | { readonly kind: 'early'; readonly closedThroughMs: number }
  /** An earlier one is to be closed first: the one that holds this moment. */
  | { readonly kind: 'earlierOpen'; readonly timeMs: number }
  | { readonly kind: 'unsettled'; readonly settledThroughMs: number }
  /** A replay found windows of it to differ; the first of them. */
  | { readonly kind: 'differs'; readonly windows: number; readonly adId: string; readonly minute: number };

/** What is billed for a period: what was counted of its minutes, and what was booked in it of earlier ones. */
export interface PeriodSums {
  /** undefined: it begins with the first click. */
  readonly startsMs: number | undefined;
  /** undefined: it is open. */
  readonly closed: { readonly endsMs: number; readonly atMs: number } | undefined;
  readonly valid: bigint;
  readonly gross: bigint;
  /** Windows of earlier periods for which something was booked in this one. */
  readonly adjustments: number;
  readonly adjustedValid: bigint;
  readonly adjustedGross: bigint;
}
