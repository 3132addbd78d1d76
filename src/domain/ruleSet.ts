/**
 * The rules by which clicks are judged. They are written down when an installation is made (in the routing
 * table's stream), so that every process, also one that replays years later, judges alike (I11).
 */
export interface RuleSet {
  readonly version: number;
  /** Clicks further ahead of the gateway's clock than this are defective. */
  readonly maxFutureSkewMs: number;
  /** Clicks that happened longer before their receipt than this are defective. */
  readonly maxEventAgeMs: number;
  /** How long a click or an impression is remembered by the fold. Whole seconds. */
  readonly dedupHorizonMs: number;
}

/**
 * Version 1 judges user agents by the list in isbot 5.2.3. Another release of that list judges differently, so
 * it belongs to another version; a test holds the installed package against this.
 */
export const RULE_SET_VERSION = 1;
export const BOT_LIST = { package: 'isbot', version: '5.2.3' } as const;
