/**
 * Where the hours, days, weeks and months of a time zone begin, by the zone's rules in the runtime (Temporal). Moments are
 * milliseconds since the Unix epoch. A day that a zone left out (Samoa's 30 December 2011) has no moments and no border.
 */

const HOUR_MS = 3_600_000;

/** Whether this is the name of a zone that the runtime knows; an offset such as "+05:45" is none. */
export function isTimeZone(name: string): boolean {
  if (/^[+-]/.test(name)) return false;
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}

/** The moment at which that zone's clock shows what UTC's shows at `wallMs`; the next one where it skips that time. */
export function momentOf(wallMs: number, timeZone: string): number {
  return zoned(wallMs, 'UTC').toPlainDateTime().toZonedDateTime(timeZone).epochMilliseconds;
}

/**
 * First moments of the zone's calendar days, weeks or months: that of the one which holds `fromMs`, and all until one is
 * at or after `toMs`.
 */
export function calendarBorders(
  fromMs: number,
  toMs: number,
  width: 'DAY' | 'WEEK' | 'MONTH',
  timeZone: string,
): number[] {
  let date = firstDate(dateAt(fromMs, timeZone), width);
  // Where a clock goes back over midnight, the last moments of a day have the date of the day before.
  if (startOf(nextDate(date, width), timeZone) <= fromMs) date = nextDate(date, width);
  const borders: number[] = [];
  for (;;) {
    const startMs = startOf(date, timeZone);
    if (startMs !== borders.at(-1)) borders.push(startMs);
    if (startMs >= toMs) return borders;
    date = nextDate(date, width);
  }
}

/** As `calendarBorders`, of the hours of the zone's clock. An hour in which the clock is changed is cut there. */
export function hourBorders(fromMs: number, toMs: number, timeZone: string): number[] {
  const borders: number[] = [];
  // The change that is at `fromMs` itself has been.
  let cutMs = zoned(fromMs + 1, timeZone).getTimeZoneTransition('previous')?.epochMilliseconds ?? -Infinity;
  let at = fromMs;
  for (;;) {
    const here = zoned(at, timeZone);
    const offsetMs = here.offsetNanoseconds / 1e6;
    const changeMs = here.getTimeZoneTransition('next')?.epochMilliseconds ?? Infinity;
    const firstMs = Math.floor((at + offsetMs) / HOUR_MS) * HOUR_MS - offsetMs;
    borders.push(Math.max(firstMs, cutMs));
    for (let startMs = firstMs + HOUR_MS; startMs < changeMs; startMs += HOUR_MS) {
      if ((borders.at(-1) ?? 0) >= toMs) return borders;
      borders.push(startMs);
    }
    if ((borders.at(-1) ?? 0) >= toMs) return borders;
    at = changeMs;
    cutMs = changeMs;
  }
}

function zoned(ms: number, timeZone: string): Temporal.ZonedDateTime {
  return Temporal.Instant.fromEpochMilliseconds(ms).toZonedDateTimeISO(timeZone);
}

function dateAt(ms: number, timeZone: string): Temporal.PlainDate {
  return zoned(ms, timeZone).toPlainDate();
}

function startOf(date: Temporal.PlainDate, timeZone: string): number {
  return date.toZonedDateTime(timeZone).epochMilliseconds;
}

function firstDate(date: Temporal.PlainDate, width: 'DAY' | 'WEEK' | 'MONTH'): Temporal.PlainDate {
  if (width === 'DAY') return date;
  return width === 'WEEK' ? date.subtract({ days: date.dayOfWeek - 1 }) : date.with({ day: 1 });
}

function nextDate(date: Temporal.PlainDate, width: 'DAY' | 'WEEK' | 'MONTH'): Temporal.PlainDate {
  if (width === 'MONTH') return date.add({ months: 1 });
  return date.add({ days: width === 'DAY' ? 1 : 7 });
}
