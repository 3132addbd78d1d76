/** Which ads a request is about: those it names, those of campaigns or advertisers as the catalog has them now, or all. */
import { invalidArgument } from '../contract/callErrors.ts';
import {
  type AdDimension,
  type AskedAd,
  type DimensionFilter,
  type GroupDimension,
  isAdDimension,
  passes,
} from '../domain/groups.ts';
import type { Question } from '../domain/question.ts';
import { readIds } from './askedFields.ts';
import type { ReadAds } from './ports.ts';

const ADS_MAX = 1_000;
const OWNERS_MAX = 100;
/** Ads of campaigns or advertisers together. */
const OWNED_ADS_MAX = 5_000;

/** The fields of a request that choose ads. */
export interface AdFields {
  readonly ad_ids: string[];
  readonly campaign_ids: string[];
  readonly advertiser_ids: string[];
}

export interface NamedAds {
  /** The dimension by which ads are named. */
  readonly by: AdDimension;
  readonly ids: readonly string[];
}

/** undefined: all ads. */
export type Selection = NamedAds | undefined;

/** @param field where the request stands in a larger one, such as "left." */
export function readSelection(fields: AdFields, field = ''): Selection {
  const named = [
    { by: 'ad_id', name: 'ad_ids', ids: fields.ad_ids, most: ADS_MAX },
    { by: 'campaign_id', name: 'campaign_ids', ids: fields.campaign_ids, most: OWNERS_MAX },
    { by: 'advertiser_id', name: 'advertiser_ids', ids: fields.advertiser_ids, most: OWNERS_MAX },
  ] as const;
  const given = named.filter(({ ids }) => ids.length > 0);
  const [one, other] = given;
  if (other !== undefined) {
    throw invalidArgument(
      `${field}${other.name} is given besides ${field}${one?.name}: one of ad_ids, campaign_ids and advertiser_ids is right, or none for all ads`,
    );
  }
  if (one === undefined) return undefined;
  readIds(`${field}${one.name}`, one.ids, one.most);
  return { by: one.by, ids: one.ids };
}

/** The ads of a question, and the filters that are left. */
export async function chooseAds(
  selection: Selection,
  groupBy: readonly GroupDimension[],
  filters: readonly DimensionFilter[],
  readAds: ReadAds,
): Promise<Pick<Question, 'ads' | 'filters'>> {
  const adFilters = filters.filter(({ dimension }) => isAdDimension(dimension));
  const named = selection ?? filteredAds(adFilters);
  if (named === undefined) return { ads: undefined, filters };
  const asked = [...groupBy, ...adFilters.map(({ dimension }) => dimension)];
  const ads = await namedAds(named, asked, readAds);
  const passing = ads.filter((ad) =>
    adFilters.every(({ dimension }) =>
      passes(adFilters, dimension, isAdDimension(dimension) ? ad[dimension] : ''),
    ),
  );
  return { ads: passing, filters: filters.filter(({ dimension }) => !isAdDimension(dimension)) };
}

/** Ads that a filter lets through by name; undefined: those that are not in the catalog may pass, or too many. */
function filteredAds(adFilters: readonly DimensionFilter[]): Selection | undefined {
  for (const { dimension, include } of adFilters) {
    const most = dimension === 'ad_id' ? ADS_MAX : OWNERS_MAX;
    if (isAdDimension(dimension) && include.length > 0 && include.length <= most && !include.includes('')) {
      return { by: dimension, ids: [...new Set(include)] };
    }
  }
  return undefined;
}

async function namedAds(
  { by, ids }: NamedAds,
  asked: readonly GroupDimension[],
  readAds: ReadAds,
): Promise<AskedAd[]> {
  if (by !== 'ad_id') return ownedAds(by, ids, readAds);
  const needsCatalog = asked.some(
    (dimension) => dimension === 'campaign_id' || dimension === 'advertiser_id',
  );
  const known = new Map(
    needsCatalog ? (await readAds('ad_id', ids, ADS_MAX)).map((ad) => [ad.ad_id, ad]) : [],
  );
  return ids.map((ad_id) => known.get(ad_id) ?? { ad_id, campaign_id: '', advertiser_id: '' });
}

async function ownedAds(
  by: Exclude<AdDimension, 'ad_id'>,
  ids: readonly string[],
  readAds: ReadAds,
): Promise<AskedAd[]> {
  const ads = await readAds(by, ids, OWNED_ADS_MAX + 1);
  if (ads.length > OWNED_ADS_MAX) {
    throw invalidArgument(
      `${by}s have more than ${OWNED_ADS_MAX} ads together: ask for fewer of them at a time, or for all ads with group_by ${by}`,
    );
  }
  return ads;
}
