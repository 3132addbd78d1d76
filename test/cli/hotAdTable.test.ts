/** What `hot-ads` shows: rates over all gateways, fan-outs of now and of soon. */
import { describe, expect, it } from 'vitest';
import { hotAdsJson, renderHotAdLines, renderHotAds, viewHotAds } from '../../src/cli/hotAds/hotAdTable.ts';
import { AnnouncedRates } from '../../src/domain/announcedRates.ts';
import { type RoutingEntry, RoutingTable } from '../../src/domain/routingTable.ts';
import { NOON_MS, RULES } from '../support/clicks.ts';

function tableOf(...entries: RoutingEntry[]): RoutingTable {
  const table = RoutingTable.create(1, { kind: 'created', shards: 4, rules: RULES });
  for (const entry of entries) table.append(table.sequence + 1, entry);
  return table;
}

const SPREAD = tableOf(
  { kind: 'fan_out', adId: 'viral', fanOut: 2, fromMs: NOON_MS - 1 },
  { kind: 'fan_out', adId: 'viral', fanOut: 4, fromMs: NOON_MS + 60_000 },
  { kind: 'fan_out', adId: 'quiet', fanOut: 2, fromMs: NOON_MS - 1 },
);

function ratesOf(...gateways: (readonly (readonly [string, number])[])[]): AnnouncedRates {
  const rates = new AnnouncedRates();
  for (const [number, said] of gateways.entries())
    rates.hear({ gateway: `gateway-${number}`, hotAdRate: 2_000, rates: said }, NOON_MS);
  return rates;
}

const TWO = ratesOf(
  [
    ['viral', 4_000],
    ['shoes', 50],
  ],
  [['viral', 1_500]],
);

describe('hot-ads', () => {
  it('shows the whole rate of each ad, the busiest first, with what each shard gets and what comes next', () => {
    expect(renderHotAds(viewHotAds(TWO, SPREAD, NOON_MS))).toBe(
      `2 gateways, 5,550 clicks/s on 3 ads, 2 spread, hot over 2,000/s a shard

ad     clicks/s  fan-out  a shard  shards  next
viral     5,500        2    2,750  ${SPREAD.shardsAt('viral', NOON_MS).join(' ')}     4 from 12:01:00 UTC
shoes        50        1       50  ${SPREAD.shardsAt('shoes', NOON_MS)}
quiet         0        2        0  ${SPREAD.shardsAt('quiet', NOON_MS).join(' ')}`,
    );
  });

  it('fits the rows that there are, and says how many ads it leaves out', () => {
    const many = ratesOf(Array.from({ length: 100 }, (_, number) => [`ad-${number}`, number + 1] as const));
    const lines = renderHotAds(viewHotAds(many, tableOf(), NOON_MS), 20).split('\n');
    expect(lines.length).toBeLessThan(20);
    expect(lines.at(-1)).toBe('86 more ads');
  });

  it('in plain lines tells of ads that are spread or should be, and of no others', () => {
    expect(
      renderHotAdLines(viewHotAds(TWO, SPREAD, NOON_MS))
        .split('\n')
        .slice(1),
    ).toEqual([
      '12:00:00 viral: 5,500 clicks/s over 2 shards, 4 from 12:01:00 UTC',
      '12:00:00 quiet: 0 clicks/s over 2 shards',
    ]);
    const hot = renderHotAdLines(viewHotAds(TWO, tableOf(), NOON_MS));
    expect(hot).toContain('viral: 5,500 clicks/s over 1 shard');
    expect(hot).not.toContain('shoes');
  });

  it('prints the same for programs', () => {
    expect(JSON.parse(hotAdsJson(viewHotAds(TWO, SPREAD, NOON_MS)))).toEqual({
      at_ms: NOON_MS,
      gateways: 2,
      hot_ad_rate: 2_000,
      ads: [
        {
          ad_id: 'viral',
          clicks_per_second: 5_500,
          fan_out: 2,
          shards: SPREAD.shardsAt('viral', NOON_MS),
          next_fan_out: 4,
          next_from_ms: NOON_MS + 60_000,
        },
        expect.objectContaining({ ad_id: 'shoes', fan_out: 1, next_fan_out: null, next_from_ms: null }),
        expect.objectContaining({ ad_id: 'quiet', clicks_per_second: 0, fan_out: 2 }),
      ],
    });
  });

  it('says that no gateway is heard rather than that no ad is hot', () => {
    expect(renderHotAds(viewHotAds(new AnnouncedRates(), tableOf(), NOON_MS))).toBe(
      'no gateway announces its rates',
    );
    expect(renderHotAds(viewHotAds(ratesOf([]), tableOf(), NOON_MS))).toContain('1 gateway, 0 clicks/s');
  });

  it('never hands a terminal what it would obey', () => {
    const rates = ratesOf([['\u202eevil', 9_000]]);
    const view = viewHotAds(rates, tableOf(), NOON_MS);
    for (const text of [renderHotAds(view), renderHotAdLines(view)]) expect(text).toContain('\\u202eevil');
  });
});
