/** A process's log: a JSON line on standard output for each thing worth knowing. */
import { type Logger, pino } from 'pino';

export function createLog(name: string, level: string): Logger {
  return pino({ name, level, base: { name } });
}

/** Says that the process does its work from now on; whoever started it waits for this line, at any LOG_LEVEL. */
export function logReady(log: Logger, facts: object): void {
  log.child({}, { level: 'info' }).info(facts, 'ready');
}
