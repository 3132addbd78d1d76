/** Numbers and moments for people to read. */

const NUMBER = new Intl.NumberFormat('en');
const SHORT = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
const PERCENT = new Intl.NumberFormat('en', {
  style: 'percent',
  minimumFractionDigits: 1,
  maximumFractionDigits: 1,
});

export const number = (value: number) => NUMBER.format(value);
export const short = (value: number) => SHORT.format(value);
export const percent = (part: number, whole: number) => (whole === 0 ? '–' : PERCENT.format(part / whole));

const formats = new Map<string, Intl.DateTimeFormat>();

function format(zone: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = `${zone} ${JSON.stringify(options)}`;
  const known = formats.get(key) ?? new Intl.DateTimeFormat('en-GB', { timeZone: zone, ...options });
  formats.set(key, known);
  return known;
}

export const clock = (ms: number, zone: string) =>
  format(zone, { hour: '2-digit', minute: '2-digit' }).format(ms);
export const clockWithSeconds = (ms: number, zone: string) =>
  format(zone, { hour: '2-digit', minute: '2-digit', second: '2-digit' }).format(ms);
export const day = (ms: number, zone: string) => format(zone, { day: 'numeric', month: 'short' }).format(ms);
export const moment = (ms: number, zone: string) => `${day(ms, zone)}, ${clock(ms, zone)}`;

/** Such as "GMT+5:45". */
export function offset(ms: number, zone: string): string {
  const parts = format(zone, { timeZoneName: 'shortOffset' }).formatToParts(ms);
  return parts.find(({ type }) => type === 'timeZoneName')?.value ?? zone;
}

/** Kinds of devices as sentences begin. */
export function device(name: string): string {
  return name === 'tv' ? 'TV' : `${name.slice(0, 1).toUpperCase()}${name.slice(1)}`;
}

/** Names of countries by their codes; others stay. */
const COUNTRIES = new Intl.DisplayNames('en', { type: 'region' });

export function country(code: string): string {
  try {
    return COUNTRIES.of(code) ?? code;
  } catch {
    return code;
  }
}
