/** What QueryUniques is asked: checks the request, names the wrong field. */
import { invalidArgument } from '../contract/callErrors.ts';
import type { QueryUniquesRequest__Output as Request } from '../contract/generated/clickledger/v1/QueryUniquesRequest.ts';
import { Buckets } from '../domain/buckets.ts';
import type { PeopleWanted } from '../domain/peopleReading.ts';
import { HOUR_MS } from '../domain/peopleSpan.ts';
import { oneOf, readIds, readTimeZone, shown, TIME_MAX_MS } from './askedFields.ts';

const ADS_MAX = 1_000;
const CAMPAIGNS_MAX = 100;
/** More than eleven years. */
const HOURS_MAX = 100_000;
const WIDTHS = ['HOUR', 'DAY', 'MONTH'] as const;

export interface UniquesQuestion extends Pick<PeopleWanted, 'subjects' | 'range'> {
  readonly buckets: Buckets;
}

/** @throws CallError that names the wrong field, its value and what is right */
export function readQuestion(request: Request): UniquesQuestion {
  const subjects = readSubjects(request);
  const range = readHours(request);
  const width = oneOf('granularity', request.granularity, WIDTHS);
  const timeZone = readTimeZone(request.time_zone);
  const buckets = new Buckets(range, width, timeZone);
  const between = buckets.borders?.find((border) => border % HOUR_MS !== 0);
  if (between !== undefined) {
    throw invalidArgument(
      `time_zone ${shown(timeZone)} is wrong: a row would begin at ${new Date(between).toISOString()}, and people are counted ` +
        'by hours of UTC; it must be a zone whose hours begin with those of UTC, such as "Europe/Berlin"',
    );
  }
  return { subjects, range, buckets };
}

function readSubjects({ ad_ids: adIds, campaign_ids: campaignIds }: Request): PeopleWanted['subjects'] {
  if (adIds.length > 0 === campaignIds.length > 0) {
    throw invalidArgument(
      `ad_ids has ${adIds.length} entries and campaign_ids ${campaignIds.length}: one of them must have some, the other none`,
    );
  }
  readIds('ad_ids', adIds, ADS_MAX);
  readIds('campaign_ids', campaignIds, CAMPAIGNS_MAX);
  return adIds.length > 0 ? { kind: 'ads', ids: adIds } : { kind: 'campaigns', ids: campaignIds };
}

function readHours({ from_ms: fromMs, to_ms: toMs }: Request): PeopleWanted['range'] {
  for (const [field, value] of Object.entries({ from_ms: fromMs, to_ms: toMs })) {
    if (!Number.isSafeInteger(value) || value < 0 || value > TIME_MAX_MS || value % HOUR_MS !== 0) {
      throw invalidArgument(
        `${field} ${value} is wrong: it must be milliseconds since 1970 on a whole hour of UTC (a multiple of ${HOUR_MS}), before the year 9999`,
      );
    }
  }
  if (toMs <= fromMs) throw invalidArgument(`to_ms ${toMs} is wrong: it must be after from_ms ${fromMs}`);
  const hours = (toMs - fromMs) / HOUR_MS;
  if (hours > HOURS_MAX)
    throw invalidArgument(
      `to_ms ${toMs} is wrong: from ${fromMs} to it are ${hours} hours; ${HOURS_MAX} is the most`,
    );
  return { fromMs, toMs };
}
