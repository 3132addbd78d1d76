/**
 * Times as they stand in files: epoch milliseconds, epoch seconds (with or without a fraction), ISO 8601, and
 * `YYYY-MM-DD H:MM[:SS[.mmm]]`. Where a text names no zone it is UTC. Pure.
 */

/** Numbers below it are seconds (until the year 5138), from it on milliseconds (since March 1973). */
const SECONDS_BELOW = 100_000_000_000;

const EPOCH = /^\d{1,14}(?:\.\d{1,9})?$/;
const DATE_TIME =
  /^(\d{4})-(\d{2})-(\d{2})(?:[ T](\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?)?\s?(Z|[+-]\d{2}:?\d{2})?$/i;

export const EVENT_TIME_FORMS =
  'epoch seconds, epoch milliseconds, ISO 8601 or YYYY-MM-DD H:MM[:SS], UTC where no zone is named';

/** Whole milliseconds since the Unix epoch, 0 or more, or undefined where `text` is no such time. */
export function parseEventTime(text: string): number | undefined {
  const trimmed = text.trim();
  if (EPOCH.test(trimmed)) {
    const number = Number(trimmed);
    return Math.floor(number < SECONDS_BELOW ? number * 1_000 : number);
  }
  const parts = DATE_TIME.exec(trimmed);
  return parts === null ? undefined : ofParts(parts);
}

function ofParts(parts: RegExpExecArray): number | undefined {
  const [year, month, day, hour, minute, second] = parts.slice(1, 7).map((part) => Number(part ?? 0));
  if (year === undefined || month === undefined || day === undefined) return undefined;
  if (hour === undefined || minute === undefined || second === undefined) return undefined;
  const milliseconds = Number((parts[7] ?? '').slice(0, 3).padEnd(3, '0'));
  const offsetMinutes = zoneMinutes(parts[8]);
  if (hour > 23 || minute > 59 || second > 59 || offsetMinutes === undefined) return undefined;
  const midnightMs = Date.UTC(year, month - 1, day);
  const date = new Date(midnightMs);
  // Date.UTC takes the 30th of February for the 2nd of March.
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return undefined;
  const ms = midnightMs + ((hour * 60 + minute - offsetMinutes) * 60 + second) * 1_000 + milliseconds;
  return ms < 0 ? undefined : ms;
}

function zoneMinutes(zone: string | undefined): number | undefined {
  if (zone === undefined || zone.toUpperCase() === 'Z') return 0;
  const digits = zone.slice(1).replace(':', '');
  const [hours, minutes] = [Number(digits.slice(0, 2)), Number(digits.slice(2))];
  if (hours > 23 || minutes > 59) return undefined;
  return (zone.startsWith('-') ? -1 : 1) * (hours * 60 + minutes);
}
