/** What goes into an archived file comes out of it as it was, byte by byte, whatever it is. */
import { join } from 'node:path';
import fc from 'fast-check';
import { parquetMetadataAsync } from 'hyparquet';
import { asyncBufferFromFile } from 'hyparquet/src/node.js';
import { describe, expect, test } from 'vitest';
import { encodeClickBatch, encodeClickRecord } from '../../../src/adapters/nats/clickBatchCodec.ts';
import { readSegment } from '../../../src/adapters/parquet/segmentReader.ts';
import { GROUP_ROWS_MAX, SegmentWriter } from '../../../src/adapters/parquet/segmentWriter.ts';
import { type StoredMessage, timestampMsOf } from '../../../src/domain/streamMessage.ts';
import { testFolder } from '../../cli/stack/testFolder.ts';
import { clickRecord } from '../../support/anyClick.ts';
import { NOON_MS, recordOf, uuid7At } from '../../support/clicks.ts';

const STREAM = { shard: 3, incarnation: '2025-06-15T12:00:00.123456789Z' };
const NOON_NANOS = BigInt(NOON_MS) * 1_000_000n;

function messageWith(bytes: Uint8Array, sequence = 1, messageId?: string): StoredMessage {
  const timestampNanos = NOON_NANOS + BigInt(sequence) * 1_000_001n;
  return { sequence, timestampNanos, timestampMs: timestampMsOf(timestampNanos), messageId, bytes };
}

async function thereAndBack(messages: readonly StoredMessage[]) {
  const path = join(await testFolder(), 'segment.parquet');
  const writer = new SegmentWriter(path, STREAM);
  for (const message of messages) writer.add(message);
  const written = writer.finish();
  const back: StoredMessage[] = [];
  for await (const message of readSegment(path)) back.push(message);
  return { path, written, back };
}

/** Plain bytes, so that a Buffer is equal to them. */
const plain = (messages: readonly StoredMessage[]) =>
  messages.map((message) => ({ ...message, bytes: Buffer.from(message.bytes).toString('hex') }));

const sound = (number: number) => encodeClickRecord(recordOf({ clickId: uuid7At(NOON_MS, number) }));

describe('a segment', () => {
  test('gives back any clicks, and any bytes that are none', async () => {
    const batch = fc
      .tuple(fc.nat(1_000), fc.array(clickRecord, { maxLength: 4 }))
      .map(([routing, clicks]) => encodeClickBatch(routing, clicks.map(encodeClickRecord)));
    const bytes = fc.oneof({ weight: 4, arbitrary: batch }, fc.uint8Array({ maxLength: 60 }));
    const id = fc.option(fc.string({ minLength: 1 }), { nil: undefined });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(bytes, id), { minLength: 1, maxLength: 30 }), async (all) => {
        const messages = all.map(([content, messageId], index) => messageWith(content, index + 7, messageId));
        const { back } = await thereAndBack(messages);
        expect(plain(back)).toEqual(plain(messages));
      }),
      { numRuns: 60 },
    );
  });

  test.each<[string, Uint8Array]>([
    [
      'a text that begins with a byte order mark',
      encodeClickRecord(recordOf({ referrer: '\ufeffhttps://a/' })),
    ],
    ['a NUL in a text', encodeClickRecord(recordOf({ source: 'a\0b' }))],
    ['a text that is no UTF-8', Buffer.concat([sound(1), Buffer.from([0x6a, 0x01, 0xff])])],
    ['a field of a later release', Buffer.concat([sound(1), Buffer.from([0xf8, 0x07, 0x01])])],
    ['attributes with number-like keys', encodeClickRecord(recordOf({ attributes: { b: '1', '7': '2' } }))],
    [
      'an attribute named __proto__',
      encodeClickRecord(recordOf({ attributes: JSON.parse('{"__proto__":"x"}') })),
    ],
    ['a record that is none', Buffer.from([1, 2, 3])],
    ['a time before 1970', encodeClickRecord(recordOf({ eventTimeMs: -1 }))],
  ])('gives back %s', async (_what, record) => {
    const messages = [
      messageWith(encodeClickBatch(5, [sound(1), record, sound(2)])),
      messageWith(encodeClickBatch(5, [record]), 2, 'batch-2'),
    ];
    const { back, written } = await thereAndBack(messages);
    expect(plain(back)).toEqual(plain(messages));
    expect(written).toMatchObject({ rows: 4, records: 4 });
  });

  test('counts records as counting does: what cannot be decoded is one, a message without records none', async () => {
    const messages = [
      messageWith(encodeClickBatch(1, [sound(1), sound(2)])),
      messageWith(Buffer.from('no batch'), 2),
      messageWith(encodeClickBatch(1, []), 3),
    ];
    const { back, written } = await thereAndBack(messages);
    expect(written).toMatchObject({ rows: 4, records: 3 });
    expect(plain(back)).toEqual(plain(messages));
  });

  test('is written in row groups of whole messages, and read group by group', async () => {
    const clicks = Array.from({ length: 700 }, (_, number) => sound(number));
    const messages = Array.from({ length: 160 }, (_, number) =>
      messageWith(encodeClickBatch(1, clicks), number + 1),
    );
    const { path, back, written } = await thereAndBack(messages);
    expect(written.rows).toBe(112_000);
    expect(plain(back)).toEqual(plain(messages));
    const metadata = await parquetMetadataAsync(await asyncBufferFromFile(path));
    const rows = metadata.row_groups.map((group) => Number(group.num_rows));
    expect(rows.length).toBe(6);
    for (const count of rows) {
      expect(count % 700).toBe(0);
      expect(count).toBeLessThan(GROUP_ROWS_MAX + 700);
    }
  });

  test('of large messages is written in groups of bounded bytes', async () => {
    const big = new Uint8Array(1_000_000).fill(255);
    const messages = Array.from({ length: 40 }, (_, number) => messageWith(big, number + 1));
    const { path, back } = await thereAndBack(messages);
    expect(back.length).toBe(40);
    const metadata = await parquetMetadataAsync(await asyncBufferFromFile(path));
    expect(metadata.row_groups.length).toBe(3);
  });

  test('of the same messages has the same bytes, with their hash and length', async () => {
    const messages = [messageWith(encodeClickBatch(1, [sound(1)]), 1, 'batch')];
    const [one, other] = [await thereAndBack(messages), await thereAndBack(messages)];
    expect(one.written).toEqual(other.written);
    const file = Bun.file(one.path);
    const hash = new Bun.CryptoHasher('sha256').update(await file.bytes()).digest('hex');
    expect([one.written.bytes, one.written.sha256]).toEqual([file.size, hash]);
  });
});
