/**
 * The columns of the archive's Parquet files, a row a record, and the way back from rows to the very bytes of a message.
 *
 * A message is written again from its columns and held against its bytes. Where they differ (no ClickBatch, another
 * encoder's, fields of a later release) its first row keeps the bytes too: what is read back is always what stood on
 * the stream. Columns of a record that cannot be read are null; so is `index` of a message without records.
 */
import type { SchemaElement } from 'hyparquet';
import type { ColumnSource } from 'hyparquet-writer';
import type { Channel, ClickContext, ClickRecord, SignatureCheck } from '../../domain/clickRecord.ts';
import { type StoredMessage, timestampMsOf } from '../../domain/streamMessage.ts';
import {
  decodeClickBatch,
  decodeClickRecord,
  encodeClickBatch,
  encodeClickRecord,
} from '../nats/clickBatchCodec.ts';

/** Which stream the rows are of. */
export interface StreamName {
  readonly shard: number;
  readonly incarnation: string;
}

interface Row extends StreamName {
  readonly message: StoredMessage;
  readonly index: number | null;
  readonly routingSequence: number | null;
  readonly click: ClickRecord | undefined;
  /** The message's bytes, where the columns do not give them. */
  readonly bytes: Uint8Array | null;
}

type Value = string | number | bigint | boolean | Uint8Array | null;

/** A row as it is read. */
type ReadRow = Readonly<Record<string, unknown>>;

interface Column {
  readonly element: SchemaElement;
  readonly cell: (row: Row) => Value;
}

const INT32 = { type: 'INT32' } as const;
const INT64 = { type: 'INT64' } as const;
const BOOLEAN = { type: 'BOOLEAN' } as const;
const BYTES = { type: 'BYTE_ARRAY' } as const;
const TEXT = { type: 'BYTE_ARRAY', converted_type: 'UTF8' } as const;
const UUID = { type: 'FIXED_LEN_BYTE_ARRAY', type_length: 16, logical_type: { type: 'UUID' } } as const;
const MILLISECONDS = {
  type: 'INT64',
  logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MILLIS' },
} as const;
const NANOSECONDS = {
  type: 'INT64',
  logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'NANOS' },
} as const;

type Kind = Omit<SchemaElement, 'name' | 'repetition_type'>;

function always(name: string, kind: Kind, cell: Column['cell']): Column {
  return { element: { ...kind, name, repetition_type: 'REQUIRED' }, cell };
}

function maybe(name: string, kind: Kind, cell: Column['cell']): Column {
  return { element: { ...kind, name, repetition_type: 'OPTIONAL' }, cell };
}

/** Of a click; null where there is none that can be read. */
function ofClick(name: string, kind: Kind, cell: (click: ClickRecord) => Value | undefined): Column {
  return maybe(name, kind, ({ click }) => (click === undefined ? null : (cell(click) ?? null)));
}

/** Texts of a click that are empty where nothing is known: null says so in SQL. */
const CONTEXT_TEXTS: readonly (readonly [column: string, field: keyof ClickContext & keyof ClickRecord])[] = [
  ['referrer', 'referrer'],
  ['country', 'country'],
  ['region', 'region'],
  ['device_type', 'deviceType'],
  ['os', 'os'],
  ['browser', 'browser'],
  ['publisher_id', 'publisherId'],
  ['placement_id', 'placementId'],
  ['creative_id', 'creativeId'],
  ['source', 'source'],
];

const COLUMNS: readonly Column[] = [
  always('shard', INT32, ({ shard }) => shard),
  always('incarnation', TEXT, ({ incarnation }) => incarnation),
  always('sequence', INT64, ({ message }) => BigInt(message.sequence)),
  maybe('index', INT32, ({ index }) => index),
  always('published_at', NANOSECONDS, ({ message }) => message.timestampNanos),
  maybe('message_id', TEXT, ({ message }) => message.messageId ?? null),
  maybe('routing_sequence', INT64, ({ routingSequence }) =>
    routingSequence === null ? null : BigInt(routingSequence),
  ),
  ofClick('click_id', UUID, ({ clickId }) => clickId),
  ofClick('impression_id', UUID, ({ impressionId }) => impressionId),
  ofClick('ad_id', TEXT, ({ adId }) => adId),
  ofClick('event_time', MILLISECONDS, ({ eventTimeMs }) => BigInt(eventTimeMs)),
  ofClick('received_at', MILLISECONDS, ({ receivedMs }) => BigInt(receivedMs)),
  ofClick('channel', TEXT, ({ channel }) => channel),
  ofClick('signature', TEXT, ({ signature }) => signature),
  ofClick('head', BOOLEAN, ({ head }) => head),
  ofClick('prefetch', BOOLEAN, ({ prefetch }) => prefetch),
  ofClick('test', BOOLEAN, ({ test }) => test),
  ofClick('user_agent', TEXT, ({ userAgent }) => userAgent),
  ofClick('user_key', BYTES, ({ userKey }) => (userKey.length === 0 ? null : userKey)),
  ...CONTEXT_TEXTS.map(([column, field]) => ofClick(column, TEXT, (click) => String(click[field]) || null)),
  ofClick('attributes', TEXT, ({ attributes }) =>
    Object.keys(attributes).length === 0 ? null : JSON.stringify(attributes),
  ),
  maybe('message', BYTES, ({ bytes }) => bytes),
];

export const SCHEMA: SchemaElement[] = [
  { name: 'record', num_children: COLUMNS.length },
  ...COLUMNS.map(({ element }) => element),
];

/** Rows that gather, column by column, until they are written together. */
export class RowGroup {
  #columns: Value[][] = COLUMNS.map(() => []);

  get rows(): number {
    return this.#columns[0]?.length ?? 0;
  }

  /** How many records the message holds, as counting has it: one that cannot be decoded counts as one. */
  add(stream: StreamName, message: StoredMessage): number {
    const rows = rowsOf(stream, message);
    for (const row of rows) {
      for (const [place, { cell }] of COLUMNS.entries()) this.#columns[place]?.push(cell(row));
    }
    return rows.filter(({ index }) => index !== null).length;
  }

  /** The columns so far, by name; begins anew. */
  take(): ColumnSource[] {
    const columns = COLUMNS.map(({ element }, place) => ({
      ...howWritten(element),
      name: element.name,
      data: this.#columns[place] ?? [],
    }));
    this.#columns = COLUMNS.map(() => []);
    return columns;
  }
}

/** Ids do not repeat, and bounds of texts narrow nothing down: looking for either costs a quarter of the rate. */
function howWritten({ name, type, logical_type }: SchemaElement): Partial<ColumnSource> {
  if (logical_type?.type === 'UUID') return { encoding: 'PLAIN', statistics: false };
  return { statistics: type !== 'BYTE_ARRAY' || name === 'ad_id' };
}

function rowsOf(stream: StreamName, message: StoredMessage): Row[] {
  const { bytes } = message;
  const batch = decodeClickBatch(bytes);
  if (batch === undefined)
    return [{ ...stream, message, index: 0, routingSequence: null, click: undefined, bytes }];
  const { routingSequence } = batch;
  if (batch.records.length === 0)
    return [{ ...stream, message, index: null, routingSequence, click: undefined, bytes }];
  const clicks = batch.records.map((record) => decodeClickRecord(record.bytes));
  const isWhole = givesBytes(routingSequence, clicks, bytes);
  return clicks.map((click, index) => ({
    ...stream,
    message,
    index,
    routingSequence,
    click,
    bytes: index === 0 && !isWhole ? bytes : null,
  }));
}

/** Whether the columns lead back to the very bytes. */
function givesBytes(
  routingSequence: number,
  clicks: readonly (ClickRecord | undefined)[],
  bytes: Uint8Array,
): boolean {
  if (!Number.isSafeInteger(routingSequence)) return false;
  const encoded: Uint8Array[] = [];
  for (const click of clicks) {
    if (click === undefined || !Number.isSafeInteger(click.eventTimeMs)) return false;
    encoded.push(encodeClickRecord(click));
  }
  return Buffer.compare(encodeClickBatch(routingSequence, encoded), bytes) === 0;
}

/** The message of its rows, in their order. @throws Error where they cannot be those of one message */
export function messageOf(rows: readonly ReadRow[]): StoredMessage {
  const [first] = rows;
  if (first === undefined) throw new Error('a message without rows');
  const timestampNanos = first['published_at'] as bigint;
  return {
    sequence: Number(first['sequence']),
    timestampNanos,
    timestampMs: timestampMsOf(timestampNanos),
    messageId: (first['message_id'] as string | null) ?? undefined,
    bytes: (first['message'] as Uint8Array | null) ?? encodedAgain(rows),
  };
}

function encodedAgain(rows: readonly ReadRow[]): Uint8Array {
  const routingSequence = Number(rows[0]?.['routing_sequence']);
  return encodeClickBatch(routingSequence, rows.map(clickOf).map(encodeClickRecord));
}

function clickOf(row: ReadRow): ClickRecord {
  const text = (name: string) => (row[name] as string | null) ?? '';
  return {
    clickId: row['click_id'] as Uint8Array,
    impressionId: (row['impression_id'] as Uint8Array | null) ?? undefined,
    adId: row['ad_id'] as string,
    eventTimeMs: Number(row['event_time']),
    receivedMs: Number(row['received_at']),
    channel: row['channel'] as Channel,
    signature: row['signature'] as SignatureCheck,
    head: row['head'] as boolean,
    prefetch: row['prefetch'] as boolean,
    test: row['test'] as boolean,
    userAgent: (row['user_agent'] as string | null) ?? undefined,
    userKey: (row['user_key'] as Uint8Array | null) ?? new Uint8Array(0),
    referrer: text('referrer'),
    country: text('country'),
    region: text('region'),
    deviceType: text('device_type'),
    os: text('os'),
    browser: text('browser'),
    publisherId: text('publisher_id'),
    placementId: text('placement_id'),
    creativeId: text('creative_id'),
    source: text('source'),
    attributes: JSON.parse((row['attributes'] as string | null) ?? '{}'),
  };
}
