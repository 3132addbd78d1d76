/** Rows of rollups added up by their keys, as PostgreSQL has them, and a click's rows the plain way. */
import type { ClickRecord } from '../../src/domain/clickRecord.ts';
import type { RollupKind, RollupRow } from '../../src/domain/dimensions.ts';
import { addDispositions, type Disposition, emptyCounts } from '../../src/domain/windowCounts.ts';

export type Rollups = Map<string, RollupRow>;

export function addRollup(rows: Rollups, row: RollupRow): void {
  const { adId, quarter, kind, value, value2 } = row;
  const key = JSON.stringify([adId, quarter, kind, value, value2]);
  const known = rows.get(key);
  if (known === undefined) rows.set(key, { ...row });
  else addDispositions(known, row);
}

/** Adds a click to each row in which it is counted. */
export function addClickRollups(
  rows: Rollups,
  click: ClickRecord,
  minute: number,
  disposition: Disposition,
): void {
  const { fingerprintHigh: _high, fingerprintLow: _low, ...counts } = emptyCounts();
  counts[disposition.toLowerCase() as keyof typeof counts] = 1;
  const values: readonly (readonly [RollupKind, string, string])[] = [
    [1, click.country, click.deviceType],
    [2, click.publisherId, click.country],
    [3, click.region, ''],
    [4, click.os, ''],
    [5, click.browser, ''],
    [6, click.referrer === '' ? '' : new URL(click.referrer).hostname, ''],
    [7, click.placementId, ''],
    [8, click.creativeId, ''],
  ];
  const quarter = minute - (minute % 900_000);
  for (const [kind, value, value2] of values) {
    if (value !== '' || value2 !== '')
      addRollup(rows, { adId: click.adId, quarter, kind, value, value2, ...counts });
  }
}
