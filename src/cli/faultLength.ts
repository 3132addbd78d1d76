/** How long the fault tests hold a fault up: handed down by `clickledger test --fault`, read by test/fault. */

/** `long`: outages of 20 s, ten kills, a backlog of a million clicks. Anything else: short ones, for every run. */
export const FAULT_LENGTH_VARIABLE = 'CLICKLEDGER_FAULT_LENGTH';
