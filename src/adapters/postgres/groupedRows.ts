/** How the rows of a question are grouped by dimensions and buckets, as pieces of SQL over rows named `part`. */
import { Buckets } from '../../domain/buckets.ts';
import { type GroupDimension, isAdDimension, placeIn } from '../../domain/groups.ts';
import { kindAsked, type Question } from '../../domain/question.ts';
import { passingOf } from './countedParts.ts';
import { wholeMilliseconds } from './moments.ts';
import type { Parameters } from './parameters.ts';
import { exactNumber } from './pool.ts';

export interface Grouping {
  /** An array of the values of the dimensions. */
  readonly group: string;
  /** The bucket that holds part.at: its number, or where buckets are minutes their first moment. */
  readonly bucket: () => string;
  /** What brings the ads' campaigns and advertisers where they are asked for, and leaves away ads that do not pass. */
  readonly from: string;
}

/** @param by the dimensions that rows are grouped by */
export function groupingOf(
  question: Question,
  by: readonly GroupDimension[],
  parameters: Parameters,
): Grouping {
  const { range, width, timeZone, filters } = question;
  const kind = kindAsked(question);
  const columnOf = (dimension: GroupDimension) => {
    if (dimension === 'ad_id') return 'part.ad_id';
    if (isAdDimension(dimension)) return `coalesce(ad.${dimension}, '')`;
    return kind === undefined ? `''` : `part.${placeIn(kind, dimension)}`;
  };
  const adFilters = filters.filter(({ dimension }) => isAdDimension(dimension));
  const names = [...by, ...adFilters.map(({ dimension }) => dimension)];
  const catalog = names.some((dimension) => dimension === 'campaign_id' || dimension === 'advertiser_id');
  const conditions = adFilters.map((filter) => passingOf(columnOf(filter.dimension), filter, parameters));
  return {
    group: `array[${by.map(columnOf).join(', ')}]::text[]`,
    bucket: () => {
      const { borders } = new Buckets(range, width, timeZone);
      return borders === undefined ? 'part.at' : `width_bucket(part.at, ${parameters.addMoments(borders)})`;
    },
    from: `${catalog ? catalogOf(question, parameters) : ''} where true ${conditions.join(' ')}`,
  };
}

function catalogOf({ ads }: Question, parameters: Parameters): string {
  if (ads === undefined) return 'left join ad on ad.ad_id = part.ad_id';
  const texts = (values: string[]) => `${parameters.add(values)}::text[]`;
  return `join unnest(${texts(ads.map(({ ad_id }) => ad_id))}, ${texts(ads.map(({ campaign_id }) => campaign_id))},
    ${texts(ads.map(({ advertiser_id }) => advertiser_id))}) as ad (ad_id, campaign_id, advertiser_id) on ad.ad_id = part.ad_id`;
}

/** A bucket as it is read: `bucketText` over what `bucket` grouped. */
export function bucketText({ width }: Question, column: string): string {
  return width === 'MINUTE' ? wholeMilliseconds(column) : `${column}::bigint`;
}

/** First moments of buckets as `bucketText` told them. */
export function bucketReader({ range, width, timeZone }: Question): (told: string) => number {
  const { borders } = new Buckets(range, width, timeZone);
  if (borders === undefined) return exactNumber;
  return (told) => borders[exactNumber(told) - 1] ?? Number.NaN;
}
