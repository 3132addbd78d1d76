/** The counted columns of `ad_minute`, and the names of the same counts in the domain. */
import type { WindowCounts } from '../../domain/windowCounts.ts';

export const COUNT_COLUMNS: readonly (readonly [name: keyof WindowCounts, column: string])[] = [
  ['valid', 'valid'],
  ['repeat', 'repeat'],
  ['givt', 'givt'],
  ['sivt', 'sivt'],
  ['defective', 'defective'],
  ['test', 'test'],
  ['fingerprintHigh', 'fingerprint_high'],
  ['fingerprintLow', 'fingerprint_low'],
];

/** A piece of SQL for each of them, with commas between. */
export function eachCount(sql: (column: string, index: number) => string): string {
  return COUNT_COLUMNS.map(([, column], index) => sql(column, index)).join(', ');
}
