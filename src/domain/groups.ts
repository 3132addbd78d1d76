/** What rows are divided and filtered by, besides time: dimensions of ads (the catalog's) and of clicks. */
import { DIMENSIONS, type Dimension, ROLLUP_KINDS, type RollupKind } from './dimensions.ts';

export const AD_DIMENSIONS = ['ad_id', 'campaign_id', 'advertiser_id'] as const;
export type AdDimension = (typeof AD_DIMENSIONS)[number];
export type GroupDimension = AdDimension | Dimension;
export const GROUP_DIMENSIONS: readonly GroupDimension[] = [...AD_DIMENSIONS, ...DIMENSIONS];

/** An ad with what the catalog says of it; empty where it is not in the catalog, or nobody asks. */
export type AskedAd = Readonly<Record<AdDimension, string>>;

export interface DimensionFilter {
  readonly dimension: GroupDimension;
  /** Values that pass; empty: any. An empty text: not known. */
  readonly include: readonly string[];
  /** Values that do not pass, even if they are included. */
  readonly exclude: readonly string[];
}

export function isAdDimension(dimension: GroupDimension): dimension is AdDimension {
  return (AD_DIMENSIONS as readonly string[]).includes(dimension);
}

export function isClickDimension(dimension: GroupDimension): dimension is Dimension {
  return !isAdDimension(dimension);
}

/** Whether a value passes all filters of its dimension. */
export function passes(
  filters: readonly DimensionFilter[],
  dimension: GroupDimension,
  value: string,
): boolean {
  return filters.every(
    (filter) =>
      filter.dimension !== dimension ||
      ((filter.include.length === 0 || filter.include.includes(value)) && !filter.exclude.includes(value)),
  );
}

/** The dimensions of clicks among them, each once. */
export function clickDimensions(
  groupBy: readonly GroupDimension[],
  filters: readonly DimensionFilter[],
): Dimension[] {
  const all = [...groupBy, ...filters.map(({ dimension }) => dimension)];
  return [...new Set(all.filter(isClickDimension))];
}

/** The kind of rollup whose rows tell these dimensions together; undefined: none does. */
export function kindOf(dimensions: readonly Dimension[]): RollupKind | undefined {
  for (const [kind, told] of Object.entries(ROLLUP_KINDS)) {
    const names: readonly string[] = told;
    if (dimensions.every((dimension) => names.includes(dimension))) return Number(kind) as RollupKind;
  }
  return undefined;
}

/** Whether a dimension is the first or the second of its kind's values. */
export function placeIn(kind: RollupKind, dimension: Dimension): 'value' | 'value2' {
  return ROLLUP_KINDS[kind][0] === dimension ? 'value' : 'value2';
}
