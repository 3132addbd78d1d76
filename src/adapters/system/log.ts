/** A process's log: a JSON line on standard output for each thing worth knowing. */
import { type Logger, pino } from 'pino';

/** Writes from `info` on until the process has read its settings and sets the log's `level`. */
export function createLog(name: string): Logger {
  return pino({ name, base: { name } });
}

/** Says that the process does its work from now on; whoever started it waits for this line, at any LOG_LEVEL. */
export function logReady(log: Logger, facts: object): void {
  log.child({}, { level: 'info' }).info(facts, 'ready');
}
