/** Ranges as people ask for them: ISO 8601, `now`, or a span back from now such as `-1h` or `-7d`. Pure. */
import { parseDuration } from '../../domain/duration.ts';
import { isTimeZone, momentOf } from '../../domain/timeZone.ts';
import { MINUTE_MS } from '../../domain/windowCounts.ts';
import { CliError } from '../cliError.ts';
import { parseEventTime } from '../import/eventTime.ts';

const FORMS = 'right are now, a span back such as -1h or -7d, or a time such as 2017-11-06T16:00Z';
/** A date, or a date and time of day, that names no zone. */
const WALL_CLOCK = /^\s*\d{4}-\d{2}-\d{2}(?:[ T][\d:.,]+)?\s*$/;

/** Half-open, on whole minutes. */
export interface TimeRange {
  readonly fromMs: number;
  readonly toMs: number;
}

export interface RangeForms {
  /** The range goes outward to whole steps of this length. */
  readonly stepMs?: number;
  /** Whose clock shows times that name no zone. */
  readonly timeZone?: string;
  /** By which a person gave it. */
  readonly options?: readonly [string, string];
}

/** The range asked for, widened to whole minutes. */
export function parseTimeRange(
  from: string,
  to: string,
  nowMs: number,
  { stepMs = MINUTE_MS, timeZone = 'UTC', options = ['--from', '--to'] }: RangeForms = {},
): TimeRange {
  const [fromOption, toOption] = options;
  const fromMs = Math.floor(parseMoment(fromOption, from, nowMs, timeZone) / stepMs) * stepMs;
  const toMs = Math.ceil(parseMoment(toOption, to, nowMs, timeZone) / stepMs) * stepMs;
  if (fromMs >= toMs) {
    throw new CliError(
      `${fromOption} ${from} is not before ${toOption} ${to}; right is an earlier ${fromOption} or a later ${toOption}`,
    );
  }
  return { fromMs, toMs };
}

/** @param option by which a person gave it */
export function parseMoment(option: string, text: string, nowMs: number, timeZone = 'UTC'): number {
  if (!isTimeZone(timeZone)) {
    throw new CliError(`--time-zone ${timeZone} is not known; right is an IANA name such as Asia/Kathmandu`);
  }
  if (text === 'now') return nowMs;
  if (text.startsWith('-')) {
    const spanMs = parseDuration(text.slice(1));
    if (spanMs !== undefined && spanMs <= nowMs) return nowMs - spanMs;
  }
  const ms = parseEventTime(text);
  if (ms === undefined) throw new CliError(`${option} ${text} is no time; ${FORMS}`);
  return WALL_CLOCK.test(text) ? momentOf(ms, timeZone) : ms;
}
