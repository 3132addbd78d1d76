/** Once for a whole run: prints the table of faults when everything is over, where there were any. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import type { TestProject } from 'vitest/node';
import { readRows, renderRows } from './report.ts';

/** Comes after test/servers.ts in the configuration, so that its end comes before the run's folder is removed. */
export function setup(project: TestProject): () => void {
  return () => {
    const { testDirectory } = project.getProvidedContext();
    const rows = readRows(testDirectory);
    if (rows.length === 0) return;
    writeFileSync(path.join(testDirectory, 'faults.json'), JSON.stringify(rows, null, 2));
    process.stdout.write(`\n${renderRows(rows)}\n`);
  };
}
