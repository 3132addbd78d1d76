/** The only file that reads the machine's clock: everything else is told the time. */

/** Milliseconds since the Unix epoch. */
export function systemClock(): number {
  return Date.now();
}
