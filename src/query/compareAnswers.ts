/** CompareAggregates: two sides against each other, and how probable it is that they differ so by chance. */
import { invalidArgument } from '../contract/callErrors.ts';
import type { CompareAggregatesRequest__Output as Request } from '../contract/generated/clickledger/v1/CompareAggregatesRequest.ts';
import type { Side__Output as SideMessage } from '../contract/generated/clickledger/v1/Side.ts';
import { clickDimensions } from '../domain/groups.ts';
import type { Question } from '../domain/question.ts';
import { countOf } from '../domain/ranking.ts';
import { type RowStatus, statusOfSpan } from '../domain/settlement.ts';
import { shareTest } from '../domain/shareTest.ts';
import { type DispositionCounts, emptyDispositions } from '../domain/windowCounts.ts';
import { chooseAds, readSelection } from './adSelection.ts';
import type { AggregateParts } from './aggregateAnswers.ts';
import { infoMessage, metricsMessage } from './aggregateMessages.ts';
import type { AggregateReader } from './aggregateReader.ts';
import type { Answers } from './answers.ts';
import { checkRolledUp } from './askedDivision.ts';
import { checkQuarters, readCount, readFilters, readRange } from './askedFields.ts';
import type { MergedAggregates } from './mergedAggregates.ts';
import type { ReadAds } from './ports.ts';

const TEST = 'exact binomial';
const SIDES = ['left', 'right'] as const;

export function compareAnswers({ reader, readAds }: AggregateParts): Answers['compareAggregates'] {
  return async (request, signal) => {
    const count = readCount('metric', request.metric);
    const expected = readExpectedShare(request);
    const [left, right] = await Promise.all(
      SIDES.map(async (name) => {
        const question = await readSide(sideOf(request, name), `${name}.`, readAds);
        return readWhole(reader, question, signal);
      }),
    );
    if (left === undefined || right === undefined) throw new Error('a side was not read');
    const [hits, others] = [countOf(left.counts, count), countOf(right.counts, count)];
    const tries = hits + others;
    return {
      left: metricsMessage(left.counts),
      right: metricsMessage(right.counts),
      difference: hits - others,
      ...(others > 0 && { ratio: hits / others }),
      ...(tries > 0 && { share: hits / tries, p_value: shareTest(hits, tries, expected) }),
      expected_share: expected,
      test: TEST,
      left_info: infoMessage(left.merged),
      right_info: infoMessage(right.merged),
      left_status: left.status,
      right_status: right.status,
    };
  };
}

function sideOf(request: Request, name: (typeof SIDES)[number]): SideMessage {
  const side = request[name];
  if (side === null) throw invalidArgument(`${name} is not given: it must say which ads and which range`);
  return side;
}

async function readSide(side: SideMessage, field: string, readAds: ReadAds): Promise<Question> {
  const range = readRange(side, field);
  const filters = readFilters(side.filters, field);
  checkRolledUp([], filters, `${field}filters`);
  if (clickDimensions([], filters).length > 0) checkQuarters(range, field);
  const chosen = await chooseAds(readSelection(side, field), [], filters, readAds);
  return { ...chosen, range, width: 'WHOLE', timeZone: 'UTC', groupBy: [] };
}

/** The left side's share of the metric of both, if there were no difference. */
function readExpectedShare(request: Request): number {
  const [left, right] = SIDES.map((name) => {
    const { exposure } = sideOf(request, name);
    if (exposure !== undefined && !(exposure > 0 && exposure < Infinity)) {
      throw invalidArgument(`${name}.exposure ${exposure} is wrong: it must be above 0`);
    }
    return exposure;
  });
  if ((left === undefined) !== (right === undefined)) {
    const [given, missing] = left === undefined ? ['right', 'left'] : ['left', 'right'];
    throw invalidArgument(
      `${missing}.exposure is not given, but ${given}.exposure is: right is both or none`,
    );
  }
  const [leftMs, rightMs] = SIDES.map((name) => {
    const { fromMs, toMs } = readRange(sideOf(request, name), `${name}.`);
    return toMs - fromMs;
  });
  const [one = 1, other = 1] = left === undefined ? [leftMs, rightMs] : [left, right];
  const share = one / (one + other);
  // A side that has no share of both, or all of it, can be tested for nothing.
  if (share === 0 || share === 1) {
    throw invalidArgument(
      `left.exposure ${left} is wrong with right.exposure ${right}: neither may be nothing beside the other, nor their sum beyond all numbers`,
    );
  }
  return share;
}

interface Whole {
  readonly merged: MergedAggregates;
  readonly counts: DispositionCounts;
  readonly status: RowStatus;
}

async function readWhole(reader: AggregateReader, question: Question, signal: AbortSignal): Promise<Whole> {
  const merged = await reader.read(question, 1, signal);
  const status = statusOfSpan(question.range.toMs, merged.settlement, merged.differing.length > 0);
  return { merged, counts: merged.rows[0] ?? emptyDispositions(), status };
}
