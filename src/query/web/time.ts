/** Moments as web clients write them: milliseconds since the Unix epoch, or ISO 8601. */

const MILLISECONDS = /^\d{1,16}$/;
/** A date alone is its first moment of UTC; a time of day says where it is. A `+` that was not escaped comes as a space. */
const ISO =
  /^(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,3}))?)?(?:Z|([+ -])(\d\d):(\d\d)))?$/;

/** undefined: it is no moment. */
export function readTime(text: string): number | undefined {
  if (MILLISECONDS.test(text)) return Number(text);
  const match = ISO.exec(text);
  if (match === null) return undefined;
  const [, year, month, day, hour = '0', minute = '0', second = '0', fraction = '0', sign, ...offset] = match;
  const [offsetHours = '0', offsetMinutes = '0'] = offset;
  const date = new Date(0);
  date.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  date.setUTCHours(Number(hour), Number(minute), Number(second), Number(fraction.padEnd(3, '0')));
  // What does not exist, such as 30 February or 24:00, has become something else.
  const isSame =
    date.getUTCMonth() === Number(month) - 1 &&
    date.getUTCDate() === Number(day) &&
    date.getUTCHours() === Number(hour) &&
    date.getUTCMinutes() === Number(minute) &&
    date.getUTCSeconds() === Number(second);
  if (!isSame || Number(offsetHours) > 23 || Number(offsetMinutes) > 59) return undefined;
  const offsetMs = (Number(offsetHours) * 60 + Number(offsetMinutes)) * 60_000;
  return date.getTime() - (sign === '-' ? -offsetMs : offsetMs);
}

export function writeTime(ms: unknown): string {
  return new Date(Number(ms)).toISOString();
}

/** null where it is not known, which the contract writes as 0. */
export function writeKnownTime(ms: unknown): string | null {
  return Number(ms) === 0 ? null : writeTime(ms);
}
