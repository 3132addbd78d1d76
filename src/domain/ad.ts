/** An ad of the catalog. */

export const AD_STATUSES = ['ACTIVE', 'PAUSED'] as const;
export type AdStatus = (typeof AD_STATUSES)[number];

export interface Ad {
  readonly adId: string;
  readonly campaignId: string;
  readonly advertiserId: string;
  /** Absolute http or https URL. */
  readonly destinationUrl: string;
  /** A paused ad is shown no more; clicks on what was shown still redirect and count. */
  readonly status: AdStatus;
}
