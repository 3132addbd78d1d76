/** Statements for what is stored of a question, now or at a moment: counts, restatements, and windows that differ. */
import type { PoolClient } from 'pg';
import type { DifferingBucket, RestatedBucket, StoredRow } from '../../domain/aggregates.ts';
import { isAdDimension } from '../../domain/groups.ts';
import type { Question } from '../../domain/question.ts';
import type { TimeRange } from '../../domain/timeRange.ts';
import type { DispositionCounts } from '../../domain/windowCounts.ts';
import { countedParts, ofAds, within } from './countedParts.ts';
import { bucketReader, bucketText, groupingOf } from './groupedRows.ts';
import { wholeMilliseconds } from './moments.ts';
import { Parameters } from './parameters.ts';
import { exactNumber } from './pool.ts';
import { eachDisposition } from './rollupRows.ts';

export type DispositionTexts = Record<'valid' | 'repeat' | 'givt' | 'sivt' | 'defective' | 'test', string>;

/**
 * The counts of a question in its range, or a part of it: those of parts add up.
 *
 * Statements here have no names, so that each is planned for its own ranges and ads: by a plan for any, 60,000 windows
 * took four times as long.
 * @param asOfMs undefined: as it is now
 */
export async function readRows(
  client: PoolClient,
  question: Question,
  range: TimeRange,
  asOfMs: number | undefined,
  rowsMax: number,
): Promise<StoredRow[]> {
  const parameters = new Parameters();
  const text = countedRows(question, range, asOfMs, parameters, () => `limit ${parameters.add(rowsMax)}`);
  const { rows } = await client.query<CountedRow>(text, parameters.values);
  return rows.map(storedRowReader(question));
}

export type CountedRow = DispositionTexts & { group: string[]; bucket: string };

/** @param most which rows at most, as SQL */
export function countedRows(
  question: Question,
  range: TimeRange,
  asOfMs: number | undefined,
  parameters: Parameters,
  most: () => string,
): string {
  const parts = countedParts(question, range, asOfMs, parameters);
  const { group, bucket, from } = groupingOf(question, question.groupBy, parameters);
  // Only what is left of the rows is reckoned in milliseconds.
  return `
  select "group", ${bucketText(question, 'bucket')} as bucket, ${eachDisposition((column) => column)}
  from (
    select ${group} as "group", ${bucket()} as bucket, ${eachDisposition((column) => `sum(${column})::bigint as ${column}`)}
    from (${parts}) as part ${from}
    group by 1, 2
    having (${eachDisposition((column) => `sum(${column})`)}) <> (0, 0, 0, 0, 0, 0)
    ${most()}
  ) as counted`;
}

export function storedRowReader(question: Question): (row: CountedRow) => StoredRow {
  const bucketMs = bucketReader(question);
  return (row) => ({ group: row.group, bucketMs: bucketMs(row.bucket), ...toDispositions(row) });
}

/** How often windows of the question were restated. */
export async function readRestated(
  client: PoolClient,
  question: Question,
  asOfMs: number | undefined,
  rowsMax: number,
): Promise<RestatedBucket[]> {
  const parameters = new Parameters();
  const then = asOfMs === undefined ? '' : `and applied_at <= ${parameters.addMoment(asOfMs)}`;
  const windows = windowsOf(question, `restatement`, `booked_in is null ${then}`, parameters);
  const { group, bucket, from } = groupingOf(question, question.groupBy.filter(isAdDimension), parameters);
  const text = `
  select "group", ${bucketText(question, 'bucket')} as bucket, revision
  from (
    select ${group} as "group", ${bucket()} as bucket, count(*) as revision
    from (${windows}) as part ${from}
    group by 1, 2
    limit ${parameters.add(rowsMax)}
  ) as restated`;
  const { rows } = await client.query<{ group: string[]; bucket: string; revision: string }>(
    text,
    parameters.values,
  );
  const bucketMs = bucketReader(question);
  return rows.map((row) => ({
    ads: row.group,
    bucketMs: bucketMs(row.bucket),
    revision: exactNumber(row.revision),
  }));
}

/** What of the question a replay found to differ. */
export async function readDiffering(
  client: PoolClient,
  question: Question,
  asOfMs: number | undefined,
  rowsMax: number,
): Promise<DifferingBucket[]> {
  const parameters = new Parameters();
  const windows = windowsOf(question, 'drift', openDrift(asOfMs, parameters), parameters);
  const { group, bucket, from } = groupingOf(question, question.groupBy.filter(isAdDimension), parameters);
  const text = `
  select "group", ${bucketText(question, 'bucket')} as bucket, ad_id, ${wholeMilliseconds('minute')} as minute
  from (
    select ${group} as "group", ${bucket()} as bucket, min(part.at) as minute,
      (array_agg(part.ad_id order by part.at, part.ad_id))[1] as ad_id
    from (${windows}) as part ${from}
    group by 1, 2
    limit ${parameters.add(rowsMax)}
  ) as differing`;
  const { rows } = await client.query<{ group: string[]; bucket: string; ad_id: string; minute: string }>(
    text,
    parameters.values,
  );
  const bucketMs = bucketReader(question);
  return rows.map((row) => ({
    ads: row.group,
    bucketMs: bucketMs(row.bucket),
    adId: row.ad_id,
    minute: exactNumber(row.minute),
  }));
}

function openDrift(asOfMs: number | undefined, parameters: Parameters): string {
  if (asOfMs === undefined) return 'ended_at is null and minute >= (select closed_through from settlement)';
  const then = parameters.addMoment(asOfMs);
  return `found_at <= ${then} and (ended_at is null or ended_at > ${then}) and minute >= ${closedThen(then)}`;
}

/** Through when minutes were closed at a moment. */
export function closedThen(moment: string): string {
  return `coalesce((select max(ends) from billing_period where closed_at <= ${moment}), '-infinity')`;
}

/** Windows of the question's ads and range in a table. */
function windowsOf(question: Question, table: string, condition: string, parameters: Parameters): string {
  return `select ad_id, minute as at from ${table}
    where ${within('minute', question.range, parameters)} ${ofAds(question, parameters)} and ${condition}`;
}

export function toDispositions(row: DispositionTexts): DispositionCounts {
  return {
    valid: exactNumber(row.valid),
    repeat: exactNumber(row.repeat),
    givt: exactNumber(row.givt),
    sivt: exactNumber(row.sivt),
    defective: exactNumber(row.defective),
    test: exactNumber(row.test),
  };
}
