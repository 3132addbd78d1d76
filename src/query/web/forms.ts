/**
 * Answers as the web has them: names in camelCase, moments in ISO 8601 of UTC, the counts of a row in the row itself.
 * schemas.ts says the same in JSON Schema; a test holds real answers against it.
 */
import type { AggregateInfo } from '../../contract/generated/clickledger/v1/AggregateInfo.ts';
import type { AggregateRow } from '../../contract/generated/clickledger/v1/AggregateRow.ts';
import type { CompareAggregatesResponse } from '../../contract/generated/clickledger/v1/CompareAggregatesResponse.ts';
import type { Metrics } from '../../contract/generated/clickledger/v1/Metrics.ts';
import type { QueryAggregatesResponse } from '../../contract/generated/clickledger/v1/QueryAggregatesResponse.ts';
import type { QueryUniquesResponse } from '../../contract/generated/clickledger/v1/QueryUniquesResponse.ts';
import type { TopNResponse } from '../../contract/generated/clickledger/v1/TopNResponse.ts';
import { ROW_STATUSES } from '../../domain/settlement.ts';
import { writeKnownTime, writeTime } from './time.ts';

/** Counts of Metrics, by their names on the web; rates come after them. */
export const COUNTS = {
  clicks: 'clicks',
  grossClicks: 'gross_clicks',
  repeatClicks: 'repeat_clicks',
  generalInvalidClicks: 'general_invalid_clicks',
  sophisticatedInvalidClicks: 'sophisticated_invalid_clicks',
  defectiveClicks: 'defective_clicks',
  testClicks: 'test_clicks',
} as const satisfies Record<string, keyof Metrics>;
export const RATES = { repeatRate: 'repeat_rate', invalidRate: 'invalid_rate' } as const satisfies Record<
  string,
  keyof Metrics
>;

/** A name of the web for a count as the contract has it; others stay, and the answers refuse them. */
export function metricOf(name: string): string {
  const known: Readonly<Record<string, string>> = { ...COUNTS, ...RATES };
  return Object.hasOwn(known, name) ? (known[name] ?? name) : name;
}

/** @param asked names of the contract; none: all */
export function metricsForm(metrics: Metrics | null | undefined, asked: readonly string[] = []) {
  const wanted = (name: string) => asked.length === 0 || asked.includes(name);
  const form: Record<string, number> = {};
  for (const [web, name] of Object.entries(COUNTS)) {
    if (wanted(name)) form[web] = Number(metrics?.[name] ?? 0);
  }
  for (const [web, name] of Object.entries(RATES)) {
    const rate = metrics?.[name];
    if (wanted(name) && rate !== undefined) form[web] = Number(rate);
  }
  return form;
}

export function freshnessForm(info: AggregateInfo | null | undefined) {
  return {
    arrivedThrough: writeKnownTime(info?.arrived_through_ms ?? 0),
    partial: info?.partial ?? false,
    missingShards: info?.missing_shards ?? [],
    settledThrough: writeKnownTime(info?.settled_through_ms ?? 0),
    finalThrough: writeKnownTime(info?.final_through_ms ?? 0),
  };
}

/** What rows have in common, whatever they are divided by. */
export function rowForm(row: AggregateRow, asked: readonly string[] = []) {
  return {
    from: writeTime(row.from_ms),
    to: writeTime(row.to_ms),
    ...metricsForm(row.metrics, asked),
    status: row.status,
    revision: Number(row.revision ?? 0),
  };
}

export function groupedRowForm(row: AggregateRow, asked: readonly string[]) {
  const group = (row.group ?? []).map(({ dimension = '', value = '' }) => [dimension, value]);
  const ad = row.ad_id ? { adId: row.ad_id } : {};
  return { ...ad, group: Object.fromEntries(group), ...rowForm(row, asked) };
}

/** The least status of the range and of the rows in this answer. */
export function leastStatus({ rows = [], info }: QueryAggregatesResponse, toMs: number): string {
  const ofRange =
    toMs <= Number(info?.final_through_ms ?? 0)
      ? 'FINAL'
      : toMs <= Number(info?.settled_through_ms ?? 0)
        ? 'SETTLED'
        : 'PROVISIONAL';
  const statuses = new Set<unknown>([ofRange, ...rows.map(({ status }) => status)]);
  return ROW_STATUSES.find((status) => statuses.has(status)) ?? ofRange;
}

export function topForm({ entries = [], total, info, status }: TopNResponse) {
  return {
    entries: entries.map(({ value = '', metrics }) => ({ value, ...metricsForm(metrics) })),
    total: metricsForm(total),
    status,
    freshness: freshnessForm(info),
  };
}

export function comparisonForm(answer: CompareAggregatesResponse) {
  return {
    left: { ...metricsForm(answer.left), status: answer.left_status },
    right: { ...metricsForm(answer.right), status: answer.right_status },
    difference: Number(answer.difference ?? 0),
    ratio: numberOrNull(answer.ratio),
    share: numberOrNull(answer.share),
    expectedShare: Number(answer.expected_share ?? 0),
    pValue: numberOrNull(answer.p_value),
    test: answer.test ?? '',
    leftFreshness: freshnessForm(answer.left_info),
    rightFreshness: freshnessForm(answer.right_info),
  };
}

export function uniquesForm({ rows = [], info }: QueryUniquesResponse) {
  return {
    rows: rows.map((row) => ({
      ...(row.ad_id ? { adId: row.ad_id } : {}),
      ...(row.campaign_id ? { campaignId: row.campaign_id } : {}),
      from: writeTime(row.from_ms),
      to: writeTime(row.to_ms),
      people: Number(row.people ?? 0),
      method: row.method,
      standardError: Number(row.standard_error ?? 0),
      summedUnions: Number(row.summed_unions ?? 0),
    })),
    freshness: freshnessForm(info),
  };
}

function numberOrNull(value: unknown): number | null {
  return value === undefined || value === null ? null : Number(value);
}
