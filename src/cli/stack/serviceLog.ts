/** A line of a service's log (pino JSON on its stdout), as `up` shows it to a person. Pure. */

export interface ServiceLogLine {
  readonly level: number;
  readonly message: string;
  /** The hour of the day in UTC, as in the log files. */
  readonly time: string;
  /** Everything else that the line says. */
  readonly details: Readonly<Record<string, unknown>>;
}

/** pino's number of `warn`: from here on a line concerns the person at the terminal. */
export const WARN_LEVEL = 40;
const LEVEL_NAMES: Readonly<Record<number, string>> = { 40: 'warn', 50: 'error', 60: 'fatal' };

/** Undefined for a line that is no log line. */
export function parseServiceLogLine(line: string): ServiceLogLine | undefined {
  if (!line.startsWith('{')) return undefined;
  const parsed = parseObject(line);
  if (typeof parsed?.['level'] !== 'number') return undefined;
  const { level, msg, time, pid: _pid, hostname: _hostname, name: _name, ...details } = parsed;
  const at = new Date(typeof time === 'number' || typeof time === 'string' ? time : Number.NaN);
  return {
    level,
    message: typeof msg === 'string' ? msg : '',
    time: Number.isNaN(at.getTime()) ? '' : at.toISOString().slice(11, 19),
    details,
  };
}

/** `12:34:56 actors warn shard lost shard=3 epoch=7` */
export function formatServiceLogLine(name: string, line: ServiceLogLine): string {
  const level = LEVEL_NAMES[line.level] ?? String(line.level);
  const details = Object.entries(line.details).map(([key, value]) => `${key}=${formatValue(value)}`);
  return [line.time, name, level, line.message, ...details].filter((part) => part !== '').join(' ');
}

function formatValue(value: unknown): string {
  if (typeof value === 'string') return /[\s"=]/.test(value) ? JSON.stringify(value) : value;
  // An error: its stack is in the log file.
  if (typeof value === 'object' && value !== null && 'message' in value) return JSON.stringify(value.message);
  return JSON.stringify(value) ?? 'undefined';
}

function parseObject(line: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}
