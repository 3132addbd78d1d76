/**
 * The owners' unflushed counts as rows of a question. Clicks of which no value of a kind of rollup is known are everything
 * less the rollup's rows, as in what is stored. Pure.
 */
import type { LiveDelta } from '../domain/aggregates.ts';
import { Buckets } from '../domain/buckets.ts';
import { QUARTER_MS, quarterOf, ROLLUP_KINDS, type RollupKind } from '../domain/dimensions.ts';
import { type AskedAd, type GroupDimension, isAdDimension, passes, placeIn } from '../domain/groups.ts';
import { kindAsked, type Question } from '../domain/question.ts';
import type { DispositionCounts } from '../domain/windowCounts.ts';

export interface LiveCounts {
  readonly group: readonly string[];
  readonly bucketMs: number;
  readonly counts: DispositionCounts;
  /** 1 or -1: whether they are added or taken away. */
  readonly sign: 1 | -1;
}

export interface LiveReading {
  readonly rows: readonly LiveCounts[];
  /** Whether all of the delta is in them. */
  readonly isWhole: boolean;
}

export class LiveReader {
  readonly #question: Question;
  readonly #buckets: Buckets;
  readonly #kind: RollupKind | undefined;
  readonly #ads: ReadonlyMap<string, AskedAd>;

  constructor(question: Question) {
    this.#question = question;
    this.#buckets = new Buckets(question.range, question.width, question.timeZone);
    this.#kind = kindAsked(question);
    this.#ads = new Map(question.ads?.map((ad) => [ad.ad_id, ad]));
  }

  /**
   * I13: a minute that is watched changes only with its restatement, so unflushed counts of it wait for their flush; those
   * of dimensions by whole quarters of an hour.
   */
  read({ rows, rollups }: LiveDelta, watchedThroughMs: number): LiveReading {
    const kind = this.#kind;
    const openMs = kind === undefined ? watchedThroughMs : quarterOf(watchedThroughMs + QUARTER_MS - 1);
    const open = rows.filter(({ minute }) => minute >= openMs);
    const isWhole = open.length === rows.length;
    if (kind === undefined) {
      return { isWhole, rows: open.map((row) => this.#counted(row.adId, row.minute, '', '', row, 1)) };
    }
    const counted: LiveCounts[] = [];
    const unknownPasses = this.#passes(kind, '', '');
    if (unknownPasses) {
      for (const row of open) counted.push(this.#counted(row.adId, row.minute, '', '', row, 1));
    }
    for (const row of rollups) {
      const { adId, quarter, value, value2 } = row;
      if (row.kind !== kind || quarter < openMs) continue;
      if (this.#passes(kind, value, value2)) {
        counted.push(this.#counted(adId, quarter, value, value2, row, 1));
      }
      if (unknownPasses) counted.push(this.#counted(adId, quarter, '', '', row, -1));
    }
    return { isWhole, rows: counted };
  }

  #passes(kind: RollupKind, value: string, value2: string): boolean {
    const { filters } = this.#question;
    const [first, second] = ROLLUP_KINDS[kind] as readonly GroupDimension[];
    return (
      (first === undefined || passes(filters, first, value)) &&
      (second === undefined || passes(filters, second, value2))
    );
  }

  #counted(
    adId: string,
    timeMs: number,
    value: string,
    value2: string,
    counts: DispositionCounts,
    sign: 1 | -1,
  ): LiveCounts {
    const kind = this.#kind;
    const group = this.#question.groupBy.map((dimension) => {
      if (dimension === 'ad_id') return adId;
      if (isAdDimension(dimension)) return this.#ads.get(adId)?.[dimension] ?? '';
      return kind !== undefined && placeIn(kind, dimension) === 'value' ? value : value2;
    });
    return { group, bucketMs: this.#buckets.startOf(timeMs), counts, sign };
  }
}
