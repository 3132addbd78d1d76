/** What rows say besides counts: whether they can still change, and how often they did. Pure. */
import type { SettledAggregates } from '../domain/aggregates.ts';
import { Buckets } from '../domain/buckets.ts';
import { isAdDimension } from '../domain/groups.ts';
import type { Question } from '../domain/question.ts';
import { type RowStatus, statusOfSpan } from '../domain/settlement.ts';

export interface RowMark {
  readonly status: RowStatus;
  readonly revision: number;
}

export class RowMarks {
  readonly #settled: Omit<SettledAggregates, 'rows'>;
  readonly #buckets: Buckets;
  /** Where in a group the values of dimensions of ads are. */
  readonly #adPlaces: readonly number[];
  readonly #revisions = new Map<string, number>();
  readonly #differs: ReadonlySet<string>;

  constructor(settled: Omit<SettledAggregates, 'rows'>, { range, width, timeZone, groupBy }: Question) {
    this.#settled = settled;
    this.#buckets = new Buckets(range, width, timeZone);
    this.#adPlaces = groupBy.flatMap((dimension, place) => (isAdDimension(dimension) ? [place] : []));
    for (const { ads, bucketMs, revision } of settled.restated) {
      this.#revisions.set(rowKey(ads, bucketMs), revision);
    }
    this.#differs = new Set(settled.differing.map(({ ads, bucketMs }) => rowKey(ads, bucketMs)));
  }

  of(group: readonly string[], bucketMs: number): RowMark {
    const key = rowKey(
      this.#adPlaces.map((place) => group[place] ?? ''),
      bucketMs,
    );
    const { toMs } = this.#buckets.cut(bucketMs);
    return {
      status: statusOfSpan(toMs, this.#settled.settlement, this.#differs.has(key)),
      revision: this.#revisions.get(key) ?? 0,
    };
  }
}

/** No value holds the character 0: PostgreSQL has no such texts. */
export function rowKey(values: readonly string[], bucketMs: number): string {
  return `${bucketMs}\u0000${values.join('\u0000')}`;
}
