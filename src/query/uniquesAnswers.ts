/**
 * QueryUniques: how many people clicked. What is stored by ad, shard, hour and day is united; only what has different keys for
 * the same person, the months of UTC, is added up, and the answer says of how many unions it is the sum.
 */
import { status } from '@grpc/grpc-js';
import { callError, invalidArgument } from '../contract/callErrors.ts';
import type { UniquesRow } from '../contract/generated/clickledger/v1/UniquesRow.ts';
import { People, peopleMonthOf } from '../domain/people.ts';
import type { PeopleReading, PeopleWanted, StoredPeople } from '../domain/peopleReading.ts';
import { spansOf } from '../domain/peopleSpan.ts';
import type { Answers } from './answers.ts';
import { readQuestion, type UniquesQuestion } from './uniquesQuestion.ts';

/** Each is up to 1,800 bytes; a row needs one at least. */
const SKETCHES_MAX = 50_000;
const CAMPAIGN_ADS_MAX = 5_000;
/** After so many sketches others have their turn: about 5 ms. */
const SKETCHES_A_TURN = 50;

export type ReadPeople = (wanted: PeopleWanted, signal: AbortSignal) => Promise<PeopleReading>;

export function uniquesAnswers(readPeople: ReadPeople): Answers['queryUniques'] {
  return async (request, signal) => {
    const question = readQuestion(request);
    const reading = await readPeople(
      { ...wantedOf(question), adsMax: CAMPAIGN_ADS_MAX, sketchesMax: SKETCHES_MAX },
      signal,
    );
    switch (reading.kind) {
      case 'tooManyAds':
        throw invalidArgument(
          `campaign_ids have more than ${CAMPAIGN_ADS_MAX} ads together: ask for fewer campaign_ids`,
        );
      case 'tooManySketches':
        throw invalidArgument(
          `the answer needs more than ${SKETCHES_MAX} stored sketches (of an ad, a shard and an hour or a day): ` +
            'ask for fewer ad_ids or campaign_ids, a shorter range, or one of whole days',
        );
      case 'read':
        checkKnown(question, reading);
        return { rows: await uniteRows(question, reading.sketches, signal), info: infoOf(reading) };
    }
  };
}

type Read = Extract<PeopleReading, { kind: 'read' }>;

/** Who clicked before people were counted is not known; nobody would be a wrong answer. */
function checkKnown({ range }: UniquesQuestion, { sinceMs }: Read): void {
  if (range.fromMs < sinceMs)
    throw callError(
      status.FAILED_PRECONDITION,
      `from_ms ${range.fromMs} is too early: people are counted since ${new Date(sinceMs).toISOString()}`,
    );
}

function infoOf({ arrivedThroughMs, settlement }: Read) {
  return {
    arrived_through_ms: Math.floor(arrivedThroughMs),
    partial: false,
    missing_shards: [],
    settled_through_ms: Math.max(settlement.settledThroughMs, 0),
    final_through_ms: Math.max(settlement.closedThroughMs, 0),
  };
}

function wantedOf({
  subjects,
  range,
  buckets,
}: UniquesQuestion): Omit<PeopleWanted, 'adsMax' | 'sketchesMax'> {
  const days: number[] = [];
  const hours: number[] = [];
  for (const startMs of buckets.starts())
    for (const span of spansOf(buckets.cut(startMs))) (span.hours === 24 ? days : hours).push(span.startMs);
  return { subjects, range, days, hours };
}

/** What one row is made of: its sketches by UTC month. */
interface Group {
  readonly subject: string;
  readonly bucketMs: number;
  readonly months: Map<number, Uint8Array[]>;
}

async function uniteRows(
  question: UniquesQuestion,
  sketches: readonly StoredPeople[],
  signal: AbortSignal,
): Promise<UniquesRow[]> {
  const rows: UniquesRow[] = [];
  let united = 0;
  for (const group of groupsOf(question, sketches)) {
    rows.push(rowOf(question, group));
    for (const one of group.months.values()) united += one.length;
    if (united < SKETCHES_A_TURN) continue;
    united = 0;
    await Bun.sleep(0);
    signal.throwIfAborted();
  }
  return rows;
}

/** By subject, then by time. */
function groupsOf({ buckets }: UniquesQuestion, sketches: readonly StoredPeople[]): Group[] {
  const groups = new Map<string, Group>();
  for (const { subject, startMs, sketch } of sketches) {
    const bucketMs = buckets.startOf(startMs);
    const key = `${bucketMs} ${subject}`;
    const group = groups.get(key) ?? { subject, bucketMs, months: new Map() };
    groups.set(key, group);
    const month = peopleMonthOf(startMs);
    const known = group.months.get(month);
    if (known === undefined) group.months.set(month, [sketch]);
    else known.push(sketch);
  }
  return [...groups.values()].sort((left, right) =>
    left.subject === right.subject ? left.bucketMs - right.bucketMs : left.subject < right.subject ? -1 : 1,
  );
}

function rowOf({ subjects, buckets }: UniquesQuestion, { subject, bucketMs, months }: Group): UniquesRow {
  let people = 0;
  let exact = true;
  let variance = 0;
  for (const [month, sketches] of months) {
    const union = new People(month);
    for (const sketch of sketches) union.unite(People.decode(sketch, month));
    const count = union.count();
    people += count.people;
    exact &&= count.exact;
    variance += (count.people * count.standardError) ** 2;
  }
  const { fromMs, toMs } = buckets.cut(bucketMs);
  return {
    ad_id: subjects.kind === 'ads' ? subject : '',
    campaign_id: subjects.kind === 'campaigns' ? subject : '',
    from_ms: fromMs,
    to_ms: toMs,
    people,
    method: exact ? 'EXACT' : 'HYPERLOGLOG',
    // The unions' errors have nothing to do with each other.
    standard_error: Math.sqrt(variance) / people,
    summed_unions: months.size,
  };
}
