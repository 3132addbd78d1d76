/**
 * How many connections to PostgreSQL each process may have at the same time, all of them in one place: what a server
 * must allow follows from how many processes there are.
 */

/** In the pool of each process. */
export const POOL_CONNECTIONS_MAX = {
  gateway: 4,
  actors: 8,
  query: 8,
  reconciler: 8,
  command: 2,
} as const;

type ProcessKind = keyof typeof POOL_CONNECTIONS_MAX;

/** Beside the pool: the heartbeats of an actors process have one of their own, and so has a recount, and who hears of changes. */
const CONNECTIONS_BESIDE: Readonly<Record<ProcessKind, number>> = {
  gateway: 0,
  actors: 1,
  query: 1,
  reconciler: 1,
  command: 1,
};

/** Commands that a person may have under way at the same time (`reconcile`, `dead-letters`, ...). */
const COMMANDS_AT_A_TIME = 4;

export interface ProcessCounts {
  readonly gateways: number;
  readonly actors: number;
}

export function connectionsOf(kind: ProcessKind): number {
  return POOL_CONNECTIONS_MAX[kind] + CONNECTIONS_BESIDE[kind];
}

/** What so many gateways and actors processes, a query service, a reconciler and some commands may need together. */
export function connectionBudget({ gateways, actors }: ProcessCounts): number {
  return (
    gateways * connectionsOf('gateway') +
    actors * connectionsOf('actors') +
    connectionsOf('query') +
    connectionsOf('reconciler') +
    COMMANDS_AT_A_TIME * connectionsOf('command')
  );
}
