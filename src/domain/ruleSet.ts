/**
 * The rules by which clicks are judged. They are written down in the routing table's stream, when an installation is
 * made and when it adopts another rule set, so that every process, also one that replays years later, judges alike (I11).
 */
export interface RuleSet {
  /** Names the lists of programs, as in `RULE_SETS`. */
  readonly version: number;
  /** Clicks further ahead of the gateway's clock than this are defective. */
  readonly maxFutureSkewMs: number;
  /** Clicks that happened longer before their receipt than this are defective. */
  readonly maxEventAgeMs: number;
  /** How long a click or an impression is remembered by the fold. Whole seconds. */
  readonly dedupHorizonMs: number;
}

/** Names of user agents that are programs, as one release of a package lists them. */
export interface BotList {
  readonly package: 'isbot' | 'crawler-user-agents';
  readonly version: string;
  /** Only entries of these kinds; not given: all. */
  readonly kinds?: readonly string[];
}

/**
 * The rule sets that this release knows. One is never edited: another release of a list judges user agents differently,
 * so it belongs to another version. A test holds the installed packages against this.
 *
 * Version 2 adds programs that load pages to test or to keep them. The other kinds of that list are left out: their
 * patterns also match browsers inside of apps and whole models of telephones, whose clicks are people's.
 */
export const RULE_SETS: Readonly<Record<number, readonly BotList[]>> = {
  1: [{ package: 'isbot', version: '5.2.3' }],
  2: [
    { package: 'isbot', version: '5.2.3' },
    { package: 'crawler-user-agents', version: '1.60.0', kinds: ['monitoring', 'archiver'] },
  ],
};

/** What a new installation judges by. */
export const FIRST_RULE_SET = 1;

export const KNOWN_RULE_SETS: readonly number[] = Object.keys(RULE_SETS).map(Number);

/** @throws Error where this release does not know the rule set: it would judge otherwise than those who do. */
export function checkRuleSet(version: number): void {
  if (RULE_SETS[version] !== undefined) return;
  throw new Error(
    `rule set ${version} is not known to this release, which knows ${KNOWN_RULE_SETS.join(', ')}: right is the release that it came with, or a newer one`,
  );
}
