/** What is stored of counts where nothing was ever settled. */
import type { SettledAggregates } from '../../src/domain/aggregates.ts';

export const UNSETTLED: Omit<SettledAggregates, 'rows'> = {
  settlement: { watchedThroughMs: -Infinity, settledThroughMs: -Infinity, closedThroughMs: -Infinity },
  restated: [],
  differing: [],
};

/** For who asks only for the present. */
export function noPast(): Promise<never> {
  return Promise.reject(new Error('nobody asked for the past'));
}
