import { expect, test } from 'vitest';
import { countTests, type VitestReport } from '../../src/cli/vitestReport.ts';

const report = (changes: Partial<VitestReport> = {}): VitestReport => ({
  numPassedTests: 5,
  numFailedTests: 0,
  numPendingTests: 2,
  numTodoTests: 1,
  testResults: [],
  ...changes,
});

test('passed, failed and skipped tests are counted', () => {
  expect(countTests(report(), true)).toEqual({ passed: 5, failed: 0, skipped: 3 });
  expect(countTests(report({ numFailedTests: 2 }), false)).toEqual({ passed: 5, failed: 2, skipped: 3 });
});

test('an error outside any test is a failure, though every test passed', () => {
  expect(countTests(report(), false).failed).toBe(1);
});

test('a file that could not be loaded is a failure beside those of other files', () => {
  const testResults = [
    { status: 'failed', assertionResults: [] },
    { status: 'failed', assertionResults: [{ status: 'failed' }] },
  ];
  expect(countTests(report({ numFailedTests: 1, testResults }), false).failed).toBe(2);
});

test('a run without any test, or without a report, is a failure', () => {
  expect(countTests(report({ numPassedTests: 0 }), true).failed).toBe(1);
  expect(countTests(undefined, true)).toEqual({ passed: 0, failed: 1, skipped: 0 });
});
