/**
 * What is counted of one ad by quarter of an hour and dimensions. A click costs one look-up of its `ClickDimensions`
 * object; the rows of each kind are made only when they leave. Two objects with the same values are two entries whose
 * rows add up (I10).
 */
import {
  ALL_ROLLUP_KINDS,
  type ClickDimensions,
  NO_DIMENSIONS,
  quarterOf,
  ROLLUP_KINDS,
  type RollupKind,
  type RollupRow,
} from './dimensions.ts';
import {
  addDispositions,
  countDisposition,
  type Disposition,
  type DispositionCounts,
  emptyDispositions,
} from './windowCounts.ts';

type Combinations = Map<ClickDimensions, DispositionCounts>;

export class RollupCounts {
  /** Of few quarters: those of the ad's open windows. */
  readonly #quarters: { readonly quarter: number; readonly combinations: Combinations }[] = [];

  /** Counts a click. @returns how many rows at most this adds to what `rows` gives */
  count(minute: number, dimensions: ClickDimensions, disposition: Disposition): number {
    if (dimensions === NO_DIMENSIONS) return 0;
    const combinations = this.#combinationsOf(quarterOf(minute));
    const known = combinations.get(dimensions);
    if (known !== undefined) {
      countDisposition(known, disposition);
      return 0;
    }
    const counts = emptyDispositions();
    countDisposition(counts, disposition);
    combinations.set(dimensions, counts);
    return rowsOf(dimensions);
  }

  /** One row for each kind, quarter and pair of values that was counted, of the quarters in [fromMs, toMs). */
  rows(
    adId: string,
    kinds: readonly RollupKind[] = ALL_ROLLUP_KINDS,
    fromMs = -Infinity,
    toMs = Infinity,
  ): RollupRow[] {
    const rows: RollupRow[] = [];
    for (const { quarter, combinations } of this.#quarters) {
      if (quarter < fromMs || quarter >= toMs) continue;
      for (const kind of kinds) rows.push(...rowsOfKind(combinations, { adId, quarter, kind }));
    }
    return rows;
  }

  #combinationsOf(quarter: number): Combinations {
    for (const known of this.#quarters) if (known.quarter === quarter) return known.combinations;
    const combinations: Combinations = new Map();
    this.#quarters.push({ quarter, combinations });
    return combinations;
  }
}

/** The values of one kind. */
function valuesOf(dimensions: ClickDimensions, kind: RollupKind): readonly [value: string, value2: string] {
  const [first, second] = ROLLUP_KINDS[kind] as readonly (keyof ClickDimensions)[];
  return [first === undefined ? '' : dimensions[first], second === undefined ? '' : dimensions[second]];
}

function rowsOf(dimensions: ClickDimensions): number {
  let rows = 0;
  for (const kind of ALL_ROLLUP_KINDS) {
    const [value, value2] = valuesOf(dimensions, kind);
    if (value !== '' || value2 !== '') rows += 1;
  }
  return rows;
}

function rowsOfKind(
  combinations: Combinations,
  key: Pick<RollupRow, 'adId' | 'quarter' | 'kind'>,
): Iterable<RollupRow> {
  const rows = new Map<string, RollupRow>();
  for (const [dimensions, counts] of combinations) {
    const [value, value2] = valuesOf(dimensions, key.kind);
    if (value === '' && value2 === '') continue;
    // No value holds a NUL.
    const values = value2 === '' ? value : `${value}\0${value2}`;
    const row = rows.get(values);
    if (row === undefined) rows.set(values, { ...key, value, value2, ...counts });
    else addDispositions(row, counts);
  }
  return rows.values();
}
