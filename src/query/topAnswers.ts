/** TopN: which values of a dimension, or which ads, have most of a count. */
import { invalidArgument } from '../contract/callErrors.ts';
import type { TopNRequest__Output as Request } from '../contract/generated/clickledger/v1/TopNRequest.ts';
import { clickDimensions, GROUP_DIMENSIONS } from '../domain/groups.ts';
import type { Ranking } from '../domain/ranking.ts';
import { statusOfSpan } from '../domain/settlement.ts';
import { chooseAds, readSelection } from './adSelection.ts';
import { infoMessage, metricsMessage } from './aggregateMessages.ts';
import type { Answers } from './answers.ts';
import { checkRolledUp } from './askedDivision.ts';
import { checkQuarters, oneOf, readCount, readFilters, readRange } from './askedFields.ts';
import type { ReadAds, ReadTop } from './ports.ts';

const N_MAX = 1_000;
const N_DEFAULT = 10;

export interface TopParts {
  readonly readTop: ReadTop;
  readonly readAds: ReadAds;
}

export function topAnswers({ readTop, readAds }: TopParts): Answers['topN'] {
  return async (request, signal) => {
    const ranking = await readRanking(request, readAds);
    const { entries, total, settlement, differing, checkpoints } = await readTop(ranking, signal);
    const arrivals = checkpoints.map(({ arrivedThroughMs }) => arrivedThroughMs);
    return {
      entries: entries.map(({ value, ...counts }) => ({ value, metrics: metricsMessage(counts) })),
      total: metricsMessage(total),
      info: infoMessage({
        arrivedThroughMs: arrivals.length === 0 ? 0 : Math.min(...arrivals),
        missingShards: [],
        settlement,
      }),
      status: statusOfSpan(ranking.question.range.toMs, settlement, differing !== undefined),
    };
  };
}

async function readRanking(request: Request, readAds: ReadAds): Promise<Ranking> {
  const dimension = oneOf('dimension', request.dimension, GROUP_DIMENSIONS);
  const count = readCount('metric', request.metric);
  if (request.n < 0 || request.n > N_MAX) {
    throw invalidArgument(`n ${request.n} is wrong: it must be 1 to ${N_MAX}, or 0 for ${N_DEFAULT}`);
  }
  const range = readRange(request);
  const selection = readSelection(request);
  const filters = readFilters(request.filters);
  checkRolledUp([dimension], filters, 'dimension and filters');
  if (clickDimensions([dimension], filters).length > 0) checkQuarters(range);
  const chosen = await chooseAds(selection, [dimension], filters, readAds);
  const question = { ...chosen, range, width: 'WHOLE', timeZone: 'UTC', groupBy: [dimension] } as const;
  return { question, count, most: request.n === 0 ? N_DEFAULT : request.n };
}
