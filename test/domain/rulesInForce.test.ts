/** Which rule set judges a click again (I11). */
import { expect, it } from 'vitest';
import { type Reclassification, RejudgedRules } from '../../src/domain/rulesInForce.ts';
import { factsOf, NOON_MS, RULES, uuid7At } from '../support/clicks.ts';

const live = { rulesOf: () => RULES, versionAt: () => RULES.version };
const all: Reclassification = { version: 2, fromMs: undefined, toMs: NOON_MS, adIds: undefined };

/** The one of a click is the one at its time. */
function versionOf(reclassifications: readonly Reclassification[], clickMs: number, adId = 'ad-1'): number {
  const rules = new RejudgedRules(live, reclassifications);
  const { version } = rules.rulesOf(factsOf({ adId, clickId: uuid7At(clickMs) }));
  expect(rules.versionAt(adId, clickMs)).toBe(version);
  return version;
}

it('judges by the live rules what no reclassification covers', () => {
  expect(versionOf([], NOON_MS)).toBe(1);
  expect(versionOf([all], NOON_MS)).toBe(1);
  expect(versionOf([all], NOON_MS - 1)).toBe(2);
  expect(versionOf([{ ...all, fromMs: NOON_MS - 5 }], NOON_MS - 6)).toBe(1);
  expect(versionOf([{ ...all, fromMs: NOON_MS - 5 }], NOON_MS - 5)).toBe(2);
});

it('judges only the ads that it names', () => {
  const some = { ...all, adIds: new Set(['ad-2']) };
  expect(versionOf([some], NOON_MS - 1)).toBe(1);
  expect(versionOf([some], NOON_MS - 1, 'ad-2')).toBe(2);
});

it('goes by the last of several', () => {
  const back = { ...all, version: 1, fromMs: NOON_MS - 5 };
  expect([NOON_MS - 6, NOON_MS - 5].map((clickMs) => versionOf([all, back], clickMs))).toEqual([2, 1]);
  expect(versionOf([back, all], NOON_MS - 5)).toBe(2);
});

it('changes nothing of the rules but the lists', () => {
  const rules = new RejudgedRules(live, [all]).rulesOf(factsOf({ clickId: uuid7At(NOON_MS - 1) }));
  expect(rules).toEqual({ ...RULES, version: 2 });
});
