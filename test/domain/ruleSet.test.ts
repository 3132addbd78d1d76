/** The rule sets name the lists of programs that they judge by; another list would judge old clicks anew (I11). */
import { expect, it } from 'vitest';
import crawlers from '../../node_modules/crawler-user-agents/package.json' with { type: 'json' };
import isbot from '../../node_modules/isbot/package.json' with { type: 'json' };
import packageJson from '../../package.json' with { type: 'json' };
import { checkRuleSet, KNOWN_RULE_SETS, RULE_SETS } from '../../src/domain/ruleSet.ts';

it('the installed lists of programs are those that the rule sets name', () => {
  const installed: Readonly<Record<string, string>> = {
    [isbot.name]: isbot.version,
    [crawlers.name]: crawlers.version,
  };
  const wanted: Readonly<Record<string, string>> = packageJson.dependencies;
  expect(KNOWN_RULE_SETS).toEqual([1, 2]);
  for (const list of Object.values(RULE_SETS).flat()) {
    expect(installed[list.package]).toBe(list.version);
    // Exact, not a range: an install may not bring another list.
    expect(wanted[list.package]).toBe(list.version);
  }
});

it('a rule set that is not known is refused with the ones that are', () => {
  expect(() => checkRuleSet(3)).toThrow('rule set 3 is not known to this release, which knows 1, 2');
  for (const version of KNOWN_RULE_SETS) checkRuleSet(version);
});
