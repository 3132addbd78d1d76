/** Ranges as people ask for them: ISO 8601, `now`, or a span back from now such as `-1h` or `-7d`. Pure. */
import { parseDuration } from '../../domain/duration.ts';
import { MINUTE_MS } from '../../domain/windowCounts.ts';
import { CliError } from '../cliError.ts';
import { parseEventTime } from '../import/eventTime.ts';

const FORMS = 'right are now, a span back such as -1h or -7d, or a time such as 2017-11-06T16:00Z';

/** Half-open, on whole minutes. */
export interface TimeRange {
  readonly fromMs: number;
  readonly toMs: number;
}

/**
 * The range asked for, widened to whole minutes.
 * @param stepMs to whole steps of this length instead
 */
export function parseTimeRange(from: string, to: string, nowMs: number, stepMs = MINUTE_MS): TimeRange {
  const fromMs = Math.floor(parseMoment('--from', from, nowMs) / stepMs) * stepMs;
  const toMs = Math.ceil(parseMoment('--to', to, nowMs) / stepMs) * stepMs;
  if (fromMs >= toMs) {
    throw new CliError(`--from ${from} is not before --to ${to}; right is an earlier --from or a later --to`);
  }
  return { fromMs, toMs };
}

/** @param option by which a person gave it */
export function parseMoment(option: string, text: string, nowMs: number): number {
  if (text === 'now') return nowMs;
  if (text.startsWith('-')) {
    const spanMs = parseDuration(text.slice(1));
    if (spanMs !== undefined && spanMs <= nowMs) return nowMs - spanMs;
  }
  const ms = parseEventTime(text);
  if (ms === undefined) throw new CliError(`${option} ${text} is no time; ${FORMS}`);
  return ms;
}
