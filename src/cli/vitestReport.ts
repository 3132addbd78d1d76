/** What Vitest's JSON report counts as passed, failed and skipped, so that nothing that went wrong looks green. Pure. */

export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** What is read of the report. */
export interface VitestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: readonly {
    readonly status: string;
    readonly assertionResults: readonly { readonly status: string }[];
  }[];
}

/**
 * @param report undefined when Vitest wrote none.
 * @param passed whether Vitest ended with 0: it does not after an error outside any test, though every test passed.
 */
export function countTests(report: VitestReport | undefined, passed: boolean): Counts {
  const counts = {
    passed: report?.numPassedTests ?? 0,
    failed: (report?.numFailedTests ?? 0) + brokenFiles(report),
    skipped: (report?.numPendingTests ?? 0) + (report?.numTodoTests ?? 0),
  };
  const nothingRan = counts.passed + counts.failed === 0;
  const failedOutsideTests = counts.failed === 0 && (nothingRan || !passed);
  return failedOutsideTests ? { ...counts, failed: 1 } : counts;
}

/** Files that failed as a whole: none of their tests did, because they could not be loaded or a hook failed. */
function brokenFiles(report: VitestReport | undefined): number {
  const broken = report?.testResults.filter(
    ({ status, assertionResults }) =>
      status === 'failed' && !assertionResults.some((assertion) => assertion.status === 'failed'),
  );
  return broken?.length ?? 0;
}
