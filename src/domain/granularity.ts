/** How wide rows can be. */
export const GRANULARITIES = ['MINUTE', 'HOUR', 'DAY', 'WEEK', 'MONTH'] as const;
export type Granularity = (typeof GRANULARITIES)[number];

/** WHOLE: one row for the whole range. */
export type BucketWidth = Granularity | 'WHOLE';
