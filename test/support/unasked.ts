/** Answers of a query service that nobody asks: a test puts those that it needs over them. */
import type { Answers } from '../../src/query/answers.ts';

const unasked = () => {
  throw new Error('nobody asks this here');
};

export const UNASKED: Answers = {
  queryAggregates: unasked,
  topN: unasked,
  compareAggregates: unasked,
  queryUniques: unasked,
  streamAggregates: unasked,
  exportAggregates: unasked,
};
