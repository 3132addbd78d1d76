/** The busiest ads with their rates and fan-outs: as a table, as plain lines, and for programs. Pure. */
import type { AnnouncedRates } from '../../domain/announcedRates.ts';
import type { RoutingTable } from '../../domain/routingTable.ts';
import { formatCount, formatCountOf, formatSecond, printable } from '../format.ts';
import { type PlainColumn, renderPlainTable } from '../plainTable.ts';
import { styled } from '../terminal.ts';

export interface HotAd {
  readonly adId: string;
  /** Over all gateways. */
  readonly clicksPerSecond: number;
  /** Over which its clicks are spread now. */
  readonly shards: readonly number[];
  /** A change that is still to take effect. */
  readonly next: { readonly fanOut: number; readonly fromMs: number } | undefined;
}

export interface HotAdsView {
  readonly atMs: number;
  readonly gateways: number;
  /** As the gateways have it; 0: none was heard. */
  readonly hotAdRate: number;
  /** Those that gateways announce, and those that are spread; the busiest first. */
  readonly ads: readonly HotAd[];
}

const COLUMNS: readonly PlainColumn[] = [
  { head: 'ad', align: 'left' },
  { head: 'clicks/s', align: 'right' },
  { head: 'fan-out', align: 'right' },
  { head: 'a shard', align: 'right' },
  { head: 'shards', align: 'left' },
  { head: 'next', align: 'left' },
];
/** Lines of the table that are not ads, with room for the cursor below. */
const OTHER_LINES = 6;
const ADS_SHOWN_MIN = 3;

export function viewHotAds(rates: AnnouncedRates, table: RoutingTable, nowMs: number): HotAdsView {
  const heard = rates.lately(nowMs);
  const whole = rates.whole(nowMs);
  const ads = [...new Set([...whole.keys(), ...table.spreadAds])].map((adId): HotAd => {
    const { fanOut, fromMs } = table.newestFanOut(adId);
    return {
      adId,
      clicksPerSecond: whole.get(adId) ?? 0,
      shards: table.shardsAt(adId, nowMs),
      next: fromMs > nowMs ? { fanOut, fromMs } : undefined,
    };
  });
  // Where two are level the name decides, so that rows do not change places without need.
  ads.sort((one, other) => other.clicksPerSecond - one.clicksPerSecond || (one.adId < other.adId ? -1 : 1));
  return {
    atMs: nowMs,
    gateways: heard.length,
    hotAdRate: Math.max(0, ...heard.map(({ hotAdRate }) => hotAdRate)),
    ads,
  };
}

/** @param rows how many lines there are room for; undefined: for all */
export function renderHotAds(view: HotAdsView, rows?: number): string {
  if (view.gateways === 0 && view.ads.length === 0) return summaryLine(view);
  const most = rows === undefined ? Infinity : Math.max(ADS_SHOWN_MIN, rows - OTHER_LINES);
  const shown = view.ads.slice(0, most);
  const lines = [
    summaryLine(view),
    '',
    renderPlainTable(
      COLUMNS,
      shown.map((ad) => cells(ad, view)),
    ),
  ];
  if (view.ads.length > shown.length)
    lines.push(styled('dim', formatCountOf(view.ads.length - shown.length, 'more ad')));
  return lines.join('\n');
}

/** For pipes and files: what all have, then each ad that is spread, about to be, or too much for its shards. */
export function renderHotAdLines(view: HotAdsView): string {
  const at = formatSecond(view.atMs).slice(11);
  const remarkable = view.ads.filter(
    (ad) => isHot(ad, view) || ad.shards.length > 1 || ad.next !== undefined,
  );
  return [
    `${at} ${summaryLine(view)}`,
    ...remarkable.map((ad) => {
      const next = nextWords(ad);
      return `${at} ${printable(ad.adId)}: ${formatCount(ad.clicksPerSecond)} clicks/s over ${formatCountOf(ad.shards.length, 'shard')}${next === '' ? '' : `, ${next}`}`;
    }),
  ].join('\n');
}

/** One line of JSON. */
export function hotAdsJson({ atMs, gateways, hotAdRate, ads }: HotAdsView): string {
  return JSON.stringify({
    at_ms: atMs,
    gateways,
    hot_ad_rate: hotAdRate,
    ads: ads.map(({ adId, clicksPerSecond, shards, next }) => ({
      ad_id: adId,
      clicks_per_second: clicksPerSecond,
      fan_out: shards.length,
      shards,
      next_fan_out: next?.fanOut ?? null,
      next_from_ms: next?.fromMs ?? null,
    })),
  });
}

function summaryLine({ gateways, hotAdRate, ads }: HotAdsView): string {
  if (gateways === 0) return styled('yellow', 'no gateway announces its rates');
  const rate = ads.reduce((sum, { clicksPerSecond }) => sum + clicksPerSecond, 0);
  const spread = ads.filter(({ shards }) => shards.length > 1).length;
  return [
    styled('bold', formatCountOf(gateways, 'gateway')),
    `${formatCount(rate)} clicks/s on ${formatCountOf(ads.length, 'ad')}`,
    `${formatCount(spread)} spread`,
    `hot over ${formatCount(hotAdRate)}/s a shard`,
  ].join(', ');
}

function cells(ad: HotAd, view: HotAdsView): string[] {
  const each = formatCount(ad.clicksPerSecond / ad.shards.length);
  return [
    printable(ad.adId),
    formatCount(ad.clicksPerSecond),
    `${ad.shards.length}`,
    isHot(ad, view) ? styled('red', each) : each,
    ad.shards.join(' '),
    nextWords(ad),
  ];
}

function isHot({ clicksPerSecond, shards }: HotAd, { gateways, hotAdRate }: HotAdsView): boolean {
  return gateways > 0 && clicksPerSecond > shards.length * hotAdRate;
}

function nextWords({ next }: HotAd): string {
  return next === undefined ? '' : `${next.fanOut} from ${formatSecond(next.fromMs).slice(11)} UTC`;
}
