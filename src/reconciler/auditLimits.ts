/** How much an audit may hold in memory, and how many may replay at a time (I14). */

/** Replays under way at once: each reads streams as fast as it can. */
export const REPLAYS_MAX = 8;
/** Identities of one window or page whose records are folded: about 150 bytes each. */
export const IDENTITIES_MAX = 1_000_000;
/** Records of a window that are tried as the reason of a difference: about 400 bytes each. */
export const EXPLAINED_RECORDS_MAX = 100_000;
export const DIFFERING_RECORDS_MAX = 1_000;
/** Records of one click_id in an answer. */
export const OCCURRENCES_MAX = 1_000;
export const CLICKS_A_PAGE_MAX = 5_000;
export const CLICKS_A_PAGE_DEFAULT = 500;
export const RESTATEMENTS_A_PAGE_MAX = 1_000;
export const RESTATEMENTS_A_PAGE_DEFAULT = 100;
export const JOB_ADS_MAX = 1_000;
export const NOTE_BYTES_MAX = 500;
/** Differences that are kept with a run. */
export const JOB_DIFFERENCES_MAX = 100;

/** An audit would hold more than it may. */
export class AuditTooLargeError extends Error {
  override readonly name = 'AuditTooLargeError';
}
