/** The ads of `up --demo`, made up, most clicked first. */
import type { Ad } from '../../contract/generated/clickledger/v1/Ad.ts';

/** Advertiser, campaign, then its ads. */
const CAMPAIGNS: readonly (readonly [advertiser: string, campaign: string, ...adIds: string[]])[] = [
  ['himal-air', 'autumn-fares', 'himal-air-pokhara', 'himal-air-weekend', 'himal-air-lounge'],
  ['luma-bikes', 'city-e-bike', 'luma-e-bike-hero', 'luma-e-bike-video', 'luma-helmets'],
  ['northwind', 'winter-coats', 'northwind-parka', 'northwind-boots', 'northwind-sale'],
  ['kopi-club', 'first-box-free', 'kopi-first-box', 'kopi-espresso-kit'],
  ['tiny-bank', 'student-account', 'tiny-bank-student', 'tiny-bank-savings'],
  ['pixel-farm', 'game-launch', 'pixel-farm-install', 'pixel-farm-trailer', 'pixel-farm-season-2'],
  ['green-grid', 'solar-roof', 'green-grid-solar', 'green-grid-quote'],
  ['open-stage', 'festival-2026', 'open-stage-tickets', 'open-stage-lineup'],
];

/** In the order of their popularity: the first ad of each campaign, then the second of each, and so on. */
export const SAMPLE_ADS: readonly (Ad & { readonly ad_id: string })[] = CAMPAIGNS.flatMap(
  ([advertiser, campaign, ...adIds]) => adIds.map((adId, rank) => ({ advertiser, campaign, adId, rank })),
)
  .sort((one, other) => one.rank - other.rank)
  .map(({ advertiser, campaign, adId }) => ({
    ad_id: adId,
    advertiser_id: advertiser,
    campaign_id: campaign,
    destination_url: `https://${advertiser}.example/${campaign}?ad=${adId}`,
    status: 'ACTIVE',
  }));
