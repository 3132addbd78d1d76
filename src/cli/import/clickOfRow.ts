/**
 * From a row of a file to the click that is sent, or the reason why it cannot be one. Pure. Limits of texts are
 * the gateway's to check; here is refused only what could not be put into a click at all.
 */
import type { Click } from '../../contract/generated/clickledger/v1/Click.ts';
import { derivedClickId, UUID7_TIME_MS_MAX } from '../../domain/derivedClickId.ts';
import { type ColumnMapping, TEXT_FIELDS } from './columnMapping.ts';
import { EVENT_TIME_FORMS, parseEventTime } from './eventTime.ts';

export interface Row {
  readonly values: readonly string[];
  /** From 1, header and empty lines not counted. */
  readonly rowNumber: number;
  /** The line of the file on which the row ends, from 1. */
  readonly line: number;
}

export type RowOutcome =
  | { readonly kind: 'click'; readonly click: Click }
  | { readonly kind: 'rejected'; readonly reason: string };

const TRUE_TEXTS = new Set(['true', '1', 'yes']);
const FALSE_TEXTS = new Set(['', 'false', '0', 'no']);

function rejected(reason: string): RowOutcome {
  return { kind: 'rejected', reason };
}

/** @param fileName the file's name without its folder, for the ids of rows that have none */
export function clickOfRow(row: Row, mapping: ColumnMapping, fileName: string): RowOutcome {
  const { values } = row;
  if (values.length !== mapping.columns) return rejected(wrongColumns(row, mapping));
  const { fields } = mapping;
  const timeText = fields.event_time === undefined ? '' : (values[fields.event_time] ?? '');
  const hasOwnId = fields.click_id !== undefined;
  const eventTimeMs = timeText === '' && hasOwnId ? 0 : parseEventTime(timeText);
  if (eventTimeMs === undefined || eventTimeMs > UUID7_TIME_MS_MAX) {
    return rejected(`event_time ${JSON.stringify(timeText)} is no time; right are ${EVENT_TIME_FORMS}`);
  }
  const click: Click = { event_time_ms: eventTimeMs };
  for (const field of TEXT_FIELDS) {
    const column = fields[field];
    const value = column === undefined ? '' : (values[column] ?? '');
    // An absent user agent means unknown; an empty one would say that the client sent none.
    if (value !== '') click[field] = value;
  }
  if (click.ad_id === undefined) return rejected('ad_id is empty; right is the id of an ad');
  if (!hasOwnId) click.click_id = derivedClickId(fileName, row.rowNumber, eventTimeMs);
  return withAttributes(withTest(click, row, mapping), row, mapping);
}

function wrongColumns({ values, line }: Row, { columns }: ColumnMapping): string {
  const reason = `row has ${values.length} values; right are ${columns}, as in the first line`;
  const breaks = values.reduce((sum, value) => sum + (value.match(/\n/g)?.length ?? 0), 0);
  return breaks === 0
    ? reason
    : `${reason} (it goes from line ${line - breaks} to line ${line}: is a quote opened there that should not be?)`;
}

function withTest(click: Click, { values }: Row, { fields }: ColumnMapping): RowOutcome {
  if (fields.test === undefined) return { kind: 'click', click };
  const text = values[fields.test] ?? '';
  if (TRUE_TEXTS.has(text.toLowerCase())) click.test = true;
  else if (!FALSE_TEXTS.has(text.toLowerCase())) {
    return rejected(
      `test ${JSON.stringify(text)} is neither yes nor no; right are true, 1, yes, false, 0, no or nothing`,
    );
  }
  return { kind: 'click', click };
}

function withAttributes(outcome: RowOutcome, { values }: Row, { attributes }: ColumnMapping): RowOutcome {
  if (outcome.kind === 'rejected' || attributes.length === 0) return outcome;
  const pairs = attributes.map(({ key, column }): [string, string] => [key, values[column] ?? '']);
  outcome.click.attributes = Object.fromEntries(pairs.filter(([, value]) => value !== ''));
  return outcome;
}
