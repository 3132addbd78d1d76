/**
 * What time it is for the service. Its questions are about its own minutes, and a browser's clock may be wrong by hours: with one
 * that is ahead the service would refuse to stream minutes that have not begun.
 */

/** The service tells whole seconds, and its answer takes a while. */
const EQUAL_MS = 2_000;

let aheadMs = 0;

/** Asks the service; where it does not answer, the browser's clock stays. */
export async function askTime(): Promise<void> {
  const answer = await fetch('/healthz', { cache: 'no-store' }).catch(() => undefined);
  const foundMs = Date.parse(answer?.headers.get('date') ?? '') - Date.now();
  aheadMs = Math.abs(foundMs) > EQUAL_MS ? foundMs : 0;
}

/** Milliseconds since the Unix epoch. */
export function serviceNow(): number {
  return Date.now() + aheadMs;
}
