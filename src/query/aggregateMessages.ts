/** Counts and what is said of them, as messages of the contract. Pure. */
import type { AggregateInfo } from '../contract/generated/clickledger/v1/AggregateInfo.ts';
import type { AggregateRow } from '../contract/generated/clickledger/v1/AggregateRow.ts';
import type { Metrics } from '../contract/generated/clickledger/v1/Metrics.ts';
import type { Buckets } from '../domain/buckets.ts';
import type { GroupDimension } from '../domain/groups.ts';
import type { Settlement } from '../domain/settlement.ts';
import type { DispositionCounts } from '../domain/windowCounts.ts';
import type { MergedAggregates, MergedRow } from './mergedAggregates.ts';
import { METRICS, type Metric, metricOf } from './rowOrder.ts';

/** @param chosen those not in it are left away */
export function metricsMessage(counts: DispositionCounts, chosen: Iterable<Metric> = METRICS): Metrics {
  const message: Metrics = {};
  for (const metric of chosen) {
    const value = metricOf(counts, metric);
    if (value !== undefined) message[metric] = value;
  }
  return message;
}

/** How the rows of an answer are told. */
export interface RowForm {
  readonly groupBy: readonly GroupDimension[];
  /** Whether the caller did not say by what rows are divided, and so knows it from ad_id. */
  readonly isByAdUnasked: boolean;
  readonly metrics: ReadonlySet<Metric>;
  readonly buckets: Buckets;
}

export function rowMessage(
  row: MergedRow,
  { groupBy, isByAdUnasked, metrics, buckets }: RowForm,
): AggregateRow {
  const { fromMs, toMs } = buckets.cut(row.bucketMs);
  return {
    ad_id: row.group[groupBy.indexOf('ad_id')] ?? '',
    from_ms: fromMs,
    to_ms: toMs,
    metrics: metricsMessage(row, metrics),
    status: row.status,
    revision: row.revision,
    group: isByAdUnasked
      ? []
      : groupBy.map((dimension, index) => ({ dimension, value: row.group[index] ?? '' })),
  };
}

export function infoMessage({
  arrivedThroughMs,
  missingShards,
  settlement,
}: Pick<MergedAggregates, 'arrivedThroughMs' | 'missingShards' | 'settlement'>): AggregateInfo {
  return {
    arrived_through_ms: Math.floor(arrivedThroughMs),
    partial: missingShards.length > 0,
    missing_shards: missingShards,
    ...settlementMessage(settlement),
  };
}

function settlementMessage({ settledThroughMs, closedThroughMs }: Settlement): AggregateInfo {
  // Nothing yet is -Infinity.
  return {
    settled_through_ms: Math.max(settledThroughMs, 0),
    final_through_ms: Math.max(closedThroughMs, 0),
  };
}
