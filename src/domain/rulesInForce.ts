/** Which rule set judges a click (I11): a function of the click's own content, so all its copies are judged alike. */
import type { ClickFacts } from './clickRecord.ts';
import type { RuleSet } from './ruleSet.ts';
import { uuid7TimeMs } from './uuid7.ts';

export interface RulesInForce {
  rulesOf(facts: ClickFacts): RuleSet;
  /** The rule set of the ad's clicks of this time. */
  versionAt(adId: string, timeMs: number): number;
}

/** Clicks that are judged by another rule set than the one by which they were counted. */
export interface Reclassification {
  readonly version: number;
  /** Half-open, the time inside the click_id; undefined: from the first click on. */
  readonly fromMs: number | undefined;
  readonly toMs: number;
  /** undefined: of every ad. */
  readonly adIds: ReadonlySet<string> | undefined;
}

/** The rules that live counting goes by, but where a reclassification says otherwise. */
export class RejudgedRules implements RulesInForce {
  readonly #live: RulesInForce;
  readonly #newestFirst: readonly Reclassification[];

  /** @param reclassifications in the order in which they were made: of several for one click the last rules */
  constructor(live: RulesInForce, reclassifications: readonly Reclassification[]) {
    this.#live = live;
    this.#newestFirst = reclassifications.toReversed();
  }

  rulesOf(facts: ClickFacts): RuleSet {
    const rules = this.#live.rulesOf(facts);
    if (this.#newestFirst.length === 0) return rules;
    const version = this.#rejudgedBy(facts.adId, uuid7TimeMs(facts.clickId));
    return version === undefined || version === rules.version ? rules : { ...rules, version };
  }

  versionAt(adId: string, timeMs: number): number {
    return this.#rejudgedBy(adId, timeMs) ?? this.#live.versionAt(adId, timeMs);
  }

  #rejudgedBy(adId: string, timeMs: number): number | undefined {
    return this.#newestFirst.find((each) => covers(each, adId, timeMs))?.version;
  }
}

function covers({ fromMs = 0, toMs, adIds }: Reclassification, adId: string, clickMs: number): boolean {
  return clickMs >= fromMs && clickMs < toMs && (adIds === undefined || adIds.has(adId));
}
