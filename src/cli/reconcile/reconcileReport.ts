/**
 * What a reconcile says: how far it is on stderr, and on stdout a table of the first differences with totals, or a JSON
 * object a difference and one with the totals.
 */

import type {
  AdDifference,
  RollupDifference,
  ShardDifference,
  WindowDifference,
} from '../../domain/difference.ts';
import { errorText } from '../../domain/errorText.ts';
import type { Reconciled, ReconcileWatcher } from '../../reconciler/reconcile.ts';
import { formatCount, formatCountOf, formatMinute, formatSpan } from '../format.ts';
import { print, printError } from '../terminal.ts';
import {
  adDifferenceJson,
  adDifferenceLine,
  differenceJson,
  differenceLine,
  renderAdDifferences,
  renderDifferences,
  shardDifferenceJson,
  shardDifferenceLine,
} from './differenceTable.ts';
import { ReplayProgress } from './replayProgress.ts';
import { renderRollupDifferences, rollupDifferenceJson, rollupDifferenceLine } from './rollupTable.ts';

const TABLE_LINES_MAX = 50;

export class ReconcileReport implements ReconcileWatcher {
  readonly #json: boolean;
  readonly #nowMs: () => number;
  readonly #rules: number | undefined;
  readonly #lines: (readonly string[])[] = [];
  readonly #rollupLines: (readonly string[])[] = [];
  readonly #shardLines: string[] = [];
  readonly #adLines: (readonly string[])[] = [];
  #progress: ReplayProgress | undefined;
  #startMs: number;
  #readMs = 0;

  /** @param rules the rule set by which clicks are judged again, if they are */
  constructor(json: boolean, nowMs: () => number, rules: number | undefined) {
    this.#json = json;
    this.#rules = rules;
    this.#nowMs = nowMs;
    this.#startMs = nowMs();
  }

  begins(shards: number, records: number): void {
    this.#startMs = this.#nowMs();
    if (shards > 0) this.#progress = new ReplayProgress(records, this.#nowMs, process.stderr);
  }

  onRecords(records: number): void {
    this.#progress?.read(records);
  }

  allRead(): void {
    this.#readMs = this.#nowMs() - this.#startMs;
    this.stop();
  }

  shardDiffers(difference: ShardDifference): void {
    if (this.#json) print(shardDifferenceJson(difference));
    else this.#shardLines.push(shardDifferenceLine(difference));
  }

  windowDiffers(difference: WindowDifference, restated: boolean): void {
    if (this.#json) print(differenceJson(difference, restated, this.#rules));
    else if (this.#lines.length < TABLE_LINES_MAX) this.#lines.push(differenceLine(difference, this.#rules));
  }

  rollupDiffers(difference: RollupDifference, restated: boolean): void {
    if (this.#json) print(rollupDifferenceJson(difference, restated));
    else if (this.#rollupLines.length < TABLE_LINES_MAX)
      this.#rollupLines.push(rollupDifferenceLine(difference));
  }

  adDiffers(difference: AdDifference): void {
    if (this.#json) print(adDifferenceJson(difference));
    else this.#adLines.push(adDifferenceLine(difference));
  }

  troubled(error: unknown): void {
    const text = `trying again: ${errorText(error)}`;
    if (this.#progress === undefined) printError(text);
    else this.#progress.trouble(text);
  }

  /** No more progress is shown. */
  stop(): void {
    this.#progress?.stop();
    this.#progress = undefined;
  }

  end(reconciled: Reconciled): void {
    if (this.#json) print(this.#summaryJson(reconciled));
    else this.#printSummary(reconciled);
  }

  #recordsPerSecond({ records }: Reconciled): number {
    return Math.round((records * 1_000) / Math.max(1, this.#readMs));
  }

  #printSummary(reconciled: Reconciled): void {
    const { shards, records, windows, rollups, differing, restated, rollupsDiffering } = reconciled;
    for (const line of this.#shardLines) print(line);
    if (this.#lines.length > 0) print(renderDifferences(this.#lines));
    if (this.#rollupLines.length > 0) print(renderRollupDifferences(this.#rollupLines));
    if (this.#adLines.length > 0) print(renderAdDifferences(this.#adLines));
    printRest(this.#lines.length, differing);
    printRest(this.#rollupLines.length, rollupsDiffering);
    const rate = `${formatCount(this.#recordsPerSecond(reconciled))} records/s`;
    print(
      `${formatCountOf(shards, 'shard')}, ${formatCountOf(records, 'record')} replayed in ${formatSpan(this.#readMs)} (${rate}), ${formatCountOf(windows, 'window')} and ${formatCountOf(rollups, 'rollup')} compared`,
    );
    const isEqual = differing + rollupsDiffering === 0 && this.#shardLines.length === 0;
    print(isEqual ? 'equal' : differenceWords(reconciled));
    const { settledThroughMs } = reconciled;
    if (settledThroughMs !== undefined) print(settledLine(settledThroughMs, differing - restated));
  }

  #summaryJson(reconciled: Reconciled): string {
    const { run = null, shards, records, windows, late, differing, restated, undecided } = reconciled;
    return JSON.stringify({
      kind: 'summary',
      run,
      shards,
      shards_differing: reconciled.shardsDiffering,
      records,
      records_per_second: this.#recordsPerSecond(reconciled),
      windows,
      late,
      differing,
      restated,
      undecided,
      rollups: reconciled.rollups,
      rollups_differing: reconciled.rollupsDiffering,
      rollups_restated: reconciled.rollupsRestated,
      rollups_undecided: reconciled.rollupsUndecided,
      settled_through: timeJson(reconciled.settledThroughMs),
    });
  }
}

function printRest(shown: number, differing: number): void {
  if (shown < differing)
    print(`the first ${formatCount(shown)} of ${formatCount(differing)}; --json names all`);
}

function differenceWords(reconciled: Reconciled): string {
  const { late, differing, restated, undecided } = reconciled;
  const words = [differWords(differing, 'window')];
  if (restated > 0) words.push(`${formatCount(restated)} restated`);
  if (undecided > 0) words.push(`${formatCount(undecided)} not decided`);
  if (late > 0) words.push(`${formatCountOf(late, 'repeat')} after the dedup horizon`);
  const { rollupsDiffering, rollupsRestated, rollupsUndecided } = reconciled;
  if (rollupsDiffering > 0) words.push(differWords(rollupsDiffering, 'rollup'));
  if (rollupsRestated > 0) words.push(`${formatCount(rollupsRestated)} mended`);
  if (rollupsUndecided > 0) words.push(`${formatCount(rollupsUndecided)} not decided`);
  return words.join(', ');
}

function differWords(count: number, what: string): string {
  return `${formatCountOf(count, what)} differ${count === 1 ? 's' : ''}`;
}

/** @param left windows that still differ */
function settledLine(throughMs: number, left: number): string {
  if (throughMs === -Infinity) return 'nothing is settled: there is a shard that has not counted yet';
  const but = left === 0 ? '' : ', but for those of windows that differ';
  return `minutes before ${formatMinute(throughMs)} UTC are settled${but}`;
}

function timeJson(ms: number | undefined): string | null {
  return ms === undefined || ms === -Infinity ? null : new Date(ms).toISOString();
}
