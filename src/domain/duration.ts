/** Durations as people write them: a whole number and a unit, such as `500ms`, `10s`, `5m`, `24h`, `7d`, `10y`. */

const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  y: 365 * 86_400_000,
};

/** Milliseconds that `text` stands for, or undefined where it is no duration. A year is 365 days. */
export function parseDuration(text: string): number | undefined {
  const [, amount, unit] = /^(\d{1,9})(ms|s|m|h|d|y)$/.exec(text) ?? [];
  const unitMs = unit === undefined ? undefined : UNIT_MS[unit];
  return amount === undefined || unitMs === undefined ? undefined : Number(amount) * unitMs;
}

/** The shortest way to write `ms` (whole milliseconds) so that `parseDuration` reads it back. */
export function formatDuration(ms: number): string {
  for (const unit of ['y', 'd', 'h', 'm', 's']) {
    const unitMs = UNIT_MS[unit] ?? 1;
    if (ms >= unitMs && ms % unitMs === 0) return `${ms / unitMs}${unit}`;
  }
  return `${ms}ms`;
}
