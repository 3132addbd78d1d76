/**
 * `clickledger reconcile`: replays the streams, holds the stored counts against them, and takes differences away where
 * it is asked to.
 */
import { Command, InvalidArgumentError } from 'commander';
import { SettingsError } from '../../adapters/environment/settings.ts';
import { UnfitServerError } from '../../adapters/environment/unfitServer.ts';
import type { WindowSelection } from '../../domain/recount.ts';
import { UndecidedError } from '../../domain/replayRange.ts';
import { KNOWN_RULE_SETS } from '../../domain/ruleSet.ts';
import { StreamGapError } from '../../domain/streamMessage.ts';
import { minuteOf } from '../../domain/windowCounts.ts';
import type { Reconciled, ReconcileRequest, Rejudging } from '../../reconciler/reconcile.ts';
import { CliError } from '../cliError.ts';
import { adList } from '../optionValues.ts';
import { parseTimeRange } from '../query/timeRange.ts';
import { ReconcileReport } from '../reconcile/reconcileReport.ts';
import { runReconcile } from '../reconcile/runReconcile.ts';
import { interrupts } from '../stack/interrupts.ts';
import { printError } from '../terminal.ts';

const EXIT_DIFFERENCES = 1;
const EXIT_UNDECIDED = 2;
const EXIT_INTERRUPTED = 130;
/** As a time: where the settled minutes end. */
const SETTLED = 'settled';

interface ReconcileOptions {
  readonly from?: string;
  readonly to?: string;
  readonly ads?: readonly string[];
  readonly apply?: boolean;
  readonly countsOnly?: boolean;
  readonly settle?: boolean;
  readonly note?: string;
  readonly rules?: number;
  readonly json?: boolean;
}

export function reconcileCommand(): Command {
  return new Command('reconcile')
    .description('recount the streams and compare, or restate what differs')
    .option(
      '--from <time>',
      'compare from here on: a span back such as -7d, an ISO 8601 time (UTC), now, or "settled": where the settled minutes end',
    )
    .option('--to <time>', 'with --from: where the range ends, likewise')
    .option('--ads <ids>', 'compare only these ads, with commas between', adList)
    .option('--apply', 'take the differences away, each with a restatement; of the whole range, settle too')
    .option('--counts-only', 'leave out what divides clicks by dimensions: faster, and enough for a bill')
    .option('--settle', 'settle the minutes that are equal')
    .option('--note <text>', 'with --apply: why you restate; the restatements carry it, as MANUAL')
    .option(
      '--rules <version>',
      'judge clicks again by this rule set: those made from --from to --to, at most until now',
      ruleSetOption,
    )
    .option('--json', 'print a JSON object a difference, and one with the totals')
    .addHelpText('after', HELP)
    .action(reconcileCounts);
}

const HELP = `
Works while clicks flow: streams and counts are compared as of the same moment. Without --from every minute is
compared, from the first message on. Stopped half way, it is run again: nothing is restated twice.

Sums of hours, days and all ads, and clicks by their dimensions, are compared too, and mended with --apply.

A settled minute changes only with a restatement. Minutes are settled in order, for all ads, as far as every shard has
counted SETTLE_GRACE beyond them; those of windows that differ stay provisional until they are restated.

With --rules the differences are shown by ad too, and with --apply the clicks are judged so from then on, whoever
recounts them; every minute from --from on is compared, because a click that is billable no more makes room for a
later one. Clicks that come later are judged by the rules in force: ./clickledger rules.

Exit codes: 0 equal, or every difference restated; 1 differences; 2 not decided, or wrong use; 130 Ctrl-C.

Examples:
  ./clickledger reconcile --from -7d --to now --apply
  ./clickledger reconcile --from settled --settle`;

async function reconcileCounts(options: ReconcileOptions): Promise<void> {
  const nowMs = () => performance.now();
  const report = new ReconcileReport(options.json === true, nowMs, options.rules);
  const stop = new AbortController();
  const interrupted = interrupts(() => process.exit(EXIT_INTERRUPTED));
  interrupted.addEventListener('abort', () => stop.abort(new CliError('stopped')));
  const request = requestOf(options, Date.now());
  try {
    const reconciled = await runReconcile(request, report, nowMs, stop);
    report.end(reconciled);
    process.exitCode = exitCodeOf(reconciled);
  } catch (error) {
    report.stop();
    if (interrupted.aborted) {
      printError('stopped; what was restated stays. Run it again for the rest');
      process.exitCode = EXIT_INTERRUPTED;
    } else {
      undecided(error);
    }
  }
}

function exitCodeOf(reconciled: Reconciled): number {
  const { differing, restated, undecided, shardsDiffering } = reconciled;
  const { rollupsDiffering, rollupsRestated, rollupsUndecided } = reconciled;
  if (undecided + rollupsUndecided > 0) return EXIT_UNDECIDED;
  const left = differing - restated + (rollupsDiffering - rollupsRestated);
  return left > 0 || shardsDiffering > 0 ? EXIT_DIFFERENCES : 0;
}

/** Whatever kept it from an answer must not look like one. */
function undecided(error: unknown): void {
  if (error instanceof CliError || error instanceof SettingsError || error instanceof UnfitServerError)
    throw error;
  printError(`not decided: ${explained(error)}`);
  process.exitCode = EXIT_UNDECIDED;
}

function explained(error: unknown): string {
  if (error instanceof UndecidedError || error instanceof StreamGapError) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** @throws CliError where it is not clear what is meant */
function requestOf(options: ReconcileOptions, nowMs: number): ReconcileRequest {
  const { from, to, ads, note } = options;
  const apply = options.apply === true;
  const countsOnly = options.countsOnly === true;
  if (countsOnly && apply)
    throw new CliError(
      '--counts-only leaves out what moves with a restated window: right is without --apply',
    );
  if (note !== undefined && !apply) throw new CliError('--note says why you restate: right is with --apply');
  if (note?.trim() === '') throw new CliError('--note is empty: right is a few words, or no --note');
  if (options.rules !== undefined && (options.settle === true || from === SETTLED))
    throw new CliError('--rules judges again what is counted: right is without --settle and --from settled');
  if (options.settle === true && ads !== undefined)
    throw new CliError('--settle settles minutes for all ads: right is without --ads');
  const isWhole = from === undefined && to === undefined && ads === undefined;
  const selection = selectionOf(options, nowMs);
  return {
    selection,
    fromSettled: from === SETTLED,
    apply,
    countsOnly,
    settle: options.settle === true || (apply && isWhole && options.rules === undefined),
    note,
    rejudge: options.rules === undefined ? undefined : rejudgingOf(options.rules, selection, nowMs),
  };
}

/** Clicks that are yet to be made are judged live, by the rules in force then: a decision about them would be a drift. */
function rejudgingOf(
  version: number,
  { fromMs = 0, toMs = Infinity }: WindowSelection,
  nowMs: number,
): Rejudging {
  const untilMs = Math.min(toMs, minuteOf(nowMs));
  if (fromMs >= untilMs) {
    throw new CliError(
      `--rules judges clicks made before ${new Date(untilMs).toISOString()} again: right is an earlier --from`,
    );
  }
  return { version, toMs: untilMs };
}

function selectionOf({ from, to, ads }: ReconcileOptions, nowMs: number): WindowSelection {
  const adIds = ads === undefined ? undefined : new Set(ads);
  // Where it begins is known when the settlement is read.
  if (from === SETTLED) {
    if (to !== undefined)
      throw new CliError('--from settled goes on to the last minute: right is without --to');
    return { fromMs: undefined, toMs: undefined, adIds };
  }
  if (from === undefined && to === undefined) return { fromMs: undefined, toMs: undefined, adIds };
  if (from === undefined || to === undefined) {
    throw new CliError('--from and --to belong together: right is both, or neither for every minute');
  }
  return { ...parseTimeRange(from, to, nowMs), adIds };
}

function ruleSetOption(text: string): number {
  const version = KNOWN_RULE_SETS.find((known) => `${known}` === text);
  if (version !== undefined) return version;
  throw new InvalidArgumentError(`Right is one of ${KNOWN_RULE_SETS.join(', ')}: ./clickledger rules list`);
}
