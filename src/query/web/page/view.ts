/** What the page shows: its ads, range and time zone. They stand in the address, so that a view can be shared. */

export const RANGES = {
  '15m': { label: '15 min', words: 'the last 15 minutes', minutes: 15, granularity: 'minute' },
  '1h': { label: '1 h', words: 'the last hour', minutes: 60, granularity: 'minute' },
  '6h': { label: '6 h', words: 'the last 6 hours', minutes: 360, granularity: 'minute' },
  '24h': { label: '24 h', words: 'the last 24 hours', minutes: 1_440, granularity: 'minute' },
  '7d': { label: '7 d', words: 'the last 7 days', minutes: 10_080, granularity: 'hour' },
  '30d': { label: '30 d', words: 'the last 30 days', minutes: 43_200, granularity: 'day' },
} as const;
export type RangeName = keyof typeof RANGES;

/** More lines than this nobody can tell apart. */
export const ADS_MAX = 6;
const AD_ID_BYTES_MAX = 128;
const RANGE_DEFAULT: RangeName = '1h';
export const MINUTE_MS = 60_000;

export interface View {
  readonly ads: readonly string[];
  readonly range: RangeName;
  readonly zone: string;
}

export function readView(search: string): View {
  const query = new URLSearchParams(search);
  const range = query.get('range') ?? '';
  const zone = query.get('zone') ?? '';
  return {
    ads: [...new Set(query.getAll('ad').filter(isAd))].slice(0, ADS_MAX),
    range: Object.hasOwn(RANGES, range) ? (range as RangeName) : RANGE_DEFAULT,
    zone: isZone(zone) ? zone : Intl.DateTimeFormat().resolvedOptions().timeZone,
  };
}

export function writeView({ ads, range, zone }: View): string {
  const query = new URLSearchParams(ads.map((ad) => ['ad', ad]));
  query.set('range', range);
  query.set('zone', zone);
  return `?${query}`;
}

/** All that the browser knows, and UTC, which some leave out. */
export function zones(chosen: string): readonly string[] {
  return [...new Set(['UTC', chosen, ...Intl.supportedValuesOf('timeZone')])].sort();
}

/** Whether there can be such an ad: an address may say anything, and the service refuses a whole question for one that cannot be. */
function isAd(ad: string): boolean {
  const isWritable = [...ad].every((character) => character >= ' ' && character !== '\u007f');
  return ad !== '' && isWritable && new TextEncoder().encode(ad).length <= AD_ID_BYTES_MAX;
}

function isZone(zone: string): boolean {
  try {
    return zone !== '' && new Intl.DateTimeFormat('en', { timeZone: zone }) !== undefined;
  } catch {
    return false;
  }
}

/** First moment of the range, on a whole minute; the last minute is the present one. */
export function rangeStart(range: RangeName, nowMs: number): number {
  return (Math.floor(nowMs / MINUTE_MS) - RANGES[range].minutes + 1) * MINUTE_MS;
}
