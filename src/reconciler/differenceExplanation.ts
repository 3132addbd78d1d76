/** What a window's difference is made of, as far as sums can tell. Pure. */
import { differingCounts, type WindowTotals } from '../domain/difference.ts';
import { countClick, type Disposition, emptyCounts, type WindowCounts } from '../domain/windowCounts.ts';
import type { AuditedRecord, Fate } from './auditFold.ts';

export interface DifferingRecord {
  readonly record: AuditedRecord;
  /** undefined: it is not stored. */
  readonly storedAs: Fate | undefined;
}

export type Explanation =
  | { readonly kind: 'LATE_RECORDS'; readonly records: readonly DifferingRecord[] }
  | {
      readonly kind: 'ONE_MISSING' | 'ONE_TWICE' | 'ONE_OTHERWISE';
      readonly records: readonly [DifferingRecord];
    }
  | { readonly kind: 'NOT_TELLABLE'; readonly records: readonly [] };

const DISPOSITIONS: readonly Disposition[] = ['VALID', 'REPEAT', 'GIVT', 'SIVT', 'DEFECTIVE', 'TEST'];

/** A record's share of the counts; nothing of what is in none. */
export function countRecord(counts: WindowCounts, { facts }: AuditedRecord, fate: Fate): void {
  if (facts === undefined || fate === 'DUPLICATE' || fate === 'DEAD_LETTER') return;
  countClick(counts, facts.clickId, fate);
}

export function asTotals(counts: WindowCounts): WindowTotals {
  const totals = Object.entries(counts).map(([name, sum]) => [name, BigInt(sum)]);
  return Object.fromEntries(totals) as WindowTotals;
}

export function sumOf(left: WindowTotals, right: WindowTotals): WindowTotals {
  return combined(left, right, 1n);
}

export function areEqual(before: WindowTotals, after: WindowTotals): boolean {
  return differingCounts({ before, after }).length === 0;
}

/**
 * One record of the window that, counted otherwise, makes the stored sums of the recounted ones. A chance agreement
 * would need two 64-bit hashes to agree.
 * @param records the recounted ones of the window
 */
export function explainByOne(
  stored: WindowTotals,
  recounted: WindowTotals,
  records: readonly AuditedRecord[],
): Explanation {
  const missing = combined(recounted, stored, -1n);
  for (const record of records) {
    const own = shareOf(record, record.fate);
    if (areEqual(missing, own)) return one('ONE_MISSING', record, undefined);
    if (areEqual(missing, combined(NOTHING, own, -1n))) return one('ONE_TWICE', record, record.fate);
    for (const other of DISPOSITIONS) {
      if (other !== record.fate && areEqual(missing, combined(own, shareOf(record, other), -1n)))
        return one('ONE_OTHERWISE', record, other);
    }
  }
  return { kind: 'NOT_TELLABLE', records: [] };
}

const NOTHING = asTotals(emptyCounts());

function one(
  kind: 'ONE_MISSING' | 'ONE_TWICE' | 'ONE_OTHERWISE',
  record: AuditedRecord,
  storedAs: Fate | undefined,
): Explanation {
  return { kind, records: [{ record, storedAs }] };
}

function shareOf(record: AuditedRecord, fate: Fate): WindowTotals {
  const counts = emptyCounts();
  countRecord(counts, record, fate);
  return asTotals(counts);
}

function combined(left: WindowTotals, right: WindowTotals, sign: bigint): WindowTotals {
  const names = Object.keys(left) as (keyof WindowTotals)[];
  return Object.fromEntries(names.map((name) => [name, left[name] + sign * right[name]])) as WindowTotals;
}
