/**
 * What a run of fault tests showed: a row a fault. Test files run in workers of their own, so rows are handed over as
 * files in the run's folder; `reportSetup.ts` prints them as one table.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import Table from 'cli-table3';

export interface FaultRow {
  /** The file of tests and the test. */
  readonly system: string;
  readonly fault: string;
  /** Clicks sent and answered, copies included. */
  readonly sent: number;
  readonly expected: number;
  readonly stored: number;
  /** From the end of the fault until everything was stored. */
  readonly recoverySeconds: number;
}

const FOLDER = 'fault-rows';

export function addRow(testDirectory: string, row: FaultRow): void {
  const folder = path.join(testDirectory, FOLDER);
  mkdirSync(folder, { recursive: true });
  const name = `${Date.now()}-${randomBytes(4).toString('hex')}.json`;
  writeFileSync(path.join(folder, name), JSON.stringify(row));
}

/** The rows of all files, in the order of the files and, within one, of time. */
export function readRows(testDirectory: string): FaultRow[] {
  const folder = path.join(testDirectory, FOLDER);
  let files: string[];
  try {
    files = readdirSync(folder).sort();
  } catch {
    return [];
  }
  const rows = files.map((file) => JSON.parse(readFileSync(path.join(folder, file), 'utf8')) as FaultRow);
  return rows.sort((left, right) => left.system.localeCompare(right.system));
}

export function renderRows(rows: readonly FaultRow[]): string {
  const table = new Table({
    head: ['system', 'fault', 'clicks sent', 'expected', 'stored', 'recovery, s'],
    colAligns: ['left', 'left', 'right', 'right', 'right', 'right'],
    style: { head: [], border: [] },
  });
  for (const { system, fault, sent, expected, stored, recoverySeconds } of rows)
    table.push([system, fault, sent, expected, stored, recoverySeconds.toFixed(1)]);
  return table.toString();
}
