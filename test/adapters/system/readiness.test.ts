/** Health follows what a process needs: every change is told once, an answer that does not come is none. */
import { expect, test } from 'vitest';
import { followReadiness, succeedsWithin } from '../../../src/adapters/system/readiness.ts';
import { systemTimers } from '../../../src/adapters/system/timers.ts';
import { turns } from '../../support/until.ts';

const soon = { ...systemTimers, pause: () => turns(1) };

test('work that fails, or does not end in time, does not succeed', async () => {
  const never = new Promise(() => undefined);
  expect(await succeedsWithin(Promise.resolve(), 1_000, systemTimers)).toBe(true);
  expect(await succeedsWithin(Promise.reject(new Error('away')), 1_000, systemTimers)).toBe(false);
  expect(await succeedsWithin(never, 5, systemTimers)).toBe(false);
});

test('every change is told, and nothing after the end', async () => {
  const answers = [true, false, false, true, true, false];
  const told: boolean[] = [];
  const stop = new AbortController();
  const isReady = async () => {
    if (answers.length === 0) stop.abort();
    return answers.shift() ?? true;
  };
  await followReadiness(isReady, (ready) => told.push(ready), soon, stop.signal);
  expect(told).toEqual([false, true, false]);
});
