/** The two lengths of the fault tests, and the bounds that keep a broken run from hanging. The only reader of the variable. */
import { FAULT_LENGTH_VARIABLE } from '../../../src/cli/faultLength.ts';

const isLong = process.env[FAULT_LENGTH_VARIABLE] === 'long';

/** What the short form (every run of the tests) or the long form (`clickledger test --fault`) uses. */
export function byLength<T>(short: T, long: T): T {
  return isLong ? long : short;
}

/** How long an outage lasts. */
export const DOWN_MS = byLength(2_000, 20_000);
/** How often something is killed. */
export const KILLS = byLength(3, 10);

/** Hang guards: nothing that works comes near them. */
export const SETTLE_BOUND_MS = byLength(90_000, 600_000);
export const TEST_TIMEOUT_MS = byLength(240_000, 1_200_000);
