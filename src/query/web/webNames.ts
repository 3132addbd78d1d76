/**
 * How fields of the contract are called on the web. Errors of the answers name fields of the contract; a web client is
 * told the parameter that it has sent.
 */

const WEB_NAMES: Readonly<Record<string, string>> = {
  ad_ids: 'adId',
  campaign_ids: 'campaignId',
  advertiser_ids: 'advertiserId',
  from_ms: 'from',
  to_ms: 'to',
  granularity: 'granularity',
  min_status: 'minStatus',
  as_of_ms: 'asOf',
  time_zone: 'timeZone',
  group_by: 'groupBy',
  filters: 'include',
  metrics: 'metrics',
  metric: 'metric',
  order_by: 'orderBy',
  page_size: 'pageSize',
  page_token: 'pageToken',
  fill: 'fill',
  dimension: 'dimension',
  n: 'n',
  exposure: 'exposure',
  format: 'format',
  resume_token: 'Last-Event-ID',
};

/** A quoted value, which stays as it is; or a side of a comparison, a dot, and a name; or a name alone. */
const WORDS = /"(?:[^"\\]|\\.)*"|\b(?:(left|right)\.)?([a-z]+(?:_[a-z]+)*)\b/g;

/**
 * A sentence about fields of the contract, in the web's names; `first`: which it begins with. The question of an export is a
 * message inside of its request; on the web it is not.
 */
export function webNames(details: string): { readonly words: string; readonly first: string | undefined } {
  let first: string | undefined;
  const words = details
    .replace(/^query\./, '')
    .replaceAll(WORDS, (whole: string, side?: string, name?: string, at?: number) => {
      const known = name !== undefined && Object.hasOwn(WEB_NAMES, name) ? WEB_NAMES[name] : undefined;
      // A word such as "format" is a field only where it stands first.
      if (known === undefined || (known === name && at !== 0)) return whole;
      const web = side === undefined ? known : sided(side, known);
      if (at === 0) first = web;
      return web;
    });
  return { words, first };
}

/** `left`, `adId` -> `leftAdId` */
export function sided(side: string, name: string): string {
  return `${side}${name.slice(0, 1).toUpperCase()}${name.slice(1)}`;
}
