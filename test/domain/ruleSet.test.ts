/** The rules name the list of programs that they judge by; another list would judge old clicks anew (I11). */
import { expect, it } from 'vitest';
import installed from '../../node_modules/isbot/package.json' with { type: 'json' };
import packageJson from '../../package.json' with { type: 'json' };
import { BOT_LIST, RULE_SET_VERSION } from '../../src/domain/ruleSet.ts';

it('the installed list of programs is the one that the rule set names', () => {
  expect(RULE_SET_VERSION).toBe(1);
  expect({ package: installed.name, version: installed.version }).toEqual(BOT_LIST);
  // Exact, not a range: an install may not bring another list.
  expect(packageJson.dependencies.isbot).toBe(BOT_LIST.version);
});
