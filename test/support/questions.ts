/** Questions for tests: of some ads, by ad, in UTC, unless said otherwise. */
import type { BucketWidth } from '../../src/domain/granularity.ts';
import type { AskedAd } from '../../src/domain/groups.ts';
import type { Question } from '../../src/domain/question.ts';
import type { TimeRange } from '../../src/domain/timeRange.ts';

/** An ad of no campaign. */
export function askedAd(ad_id: string, campaign_id = '', advertiser_id = ''): AskedAd {
  return { ad_id, campaign_id, advertiser_id };
}

export function question(
  adIds: readonly string[],
  range: TimeRange,
  width: BucketWidth,
  changes: Partial<Question> = {},
): Question {
  const ads = adIds.map((adId) => askedAd(adId));
  return { ads, range, width, timeZone: 'UTC', groupBy: ['ad_id'], filters: [], ...changes };
}
