/** What becomes of a dead letter when it is looked at again. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeClickBatch,
  decodeClickFacts,
  encodeClickBatch,
  encodeClickRecord,
} from '../../src/adapters/nats/clickBatchCodec.ts';
import { AD_ID_HASHED_BYTES_MAX } from '../../src/domain/identity.ts';
import { type LetterReader, planRedrive, recordsOf, redriveMessageId } from '../../src/domain/redrive.ts';
import { RoutingTable } from '../../src/domain/routingTable.ts';
import { factsOf, NOON_MS, RULES, recordOf, uuid7At } from '../support/clicks.ts';

const CLOSED_UNTIL_MS = NOON_MS + 60_000;
const TABLE = RoutingTable.create(1, { kind: 'created', shards: 4, rules: RULES });
TABLE.append(2, { kind: 'closed_until', untilMs: CLOSED_UNTIL_MS });
const SHARD = TABLE.route(factsOf());
const ELSEWHERE_AD =
  ['ad-a', 'ad-b', 'ad-c', 'ad-d', 'ad-e'].find((adId) => TABLE.route(factsOf({ adId })) !== SHARD) ?? '';

const READER: LetterReader = { batch: decodeClickBatch, record: decodeClickFacts };
/** A later release: it reads messages that begin with a mark. */
const LATER_READER: LetterReader = {
  ...READER,
  batch: (bytes) => (bytes[0] === 0xff ? decodeClickBatch(bytes.subarray(1)) : decodeClickBatch(bytes)),
};

const undecodable = (bytes: Uint8Array, index = 0) => ({ index, reason: 'undecodable' as const, bytes });
const misrouted = (bytes: Uint8Array) => ({ index: 0, reason: 'misrouted' as const, bytes });
const marked = (...records: Uint8Array[]) => Buffer.concat([Buffer.of(0xff), encodeClickBatch(2, records)]);
const clickAt = (timeMs: number, receivedMs = timeMs) =>
  encodeClickRecord(recordOf({ clickId: uuid7At(timeMs), impressionId: undefined, receivedMs }));

describe('a record that stood on another shard', () => {
  it('is published to its own, byte by byte', () => {
    const bytes = encodeClickRecord(recordOf({ referrer: 'https://example.com/' }));
    expect(planRedrive(misrouted(bytes), READER, TABLE)).toEqual({
      kind: 'publish',
      shard: SHARD,
      records: [bytes],
    });
  });

  it('is left while an entry may still come that routes it elsewhere (I3)', () => {
    expect(planRedrive(misrouted(clickAt(CLOSED_UNTIL_MS - 1)), READER, TABLE).kind).toBe('publish');
    const plan = planRedrive(misrouted(clickAt(CLOSED_UNTIL_MS)), READER, TABLE);
    expect(plan).toEqual({
      kind: 'left',
      why: "it needs a closed_until of 2025-06-15T12:01:00.001Z, the routing table's is 2025-06-15T12:01:00.000Z; redrive it when that was raised",
    });
    // Both UUIDs count: the click's own may be the later one.
    const late = recordOf({ clickId: uuid7At(CLOSED_UNTIL_MS), receivedMs: CLOSED_UNTIL_MS });
    expect(planRedrive(misrouted(encodeClickRecord(late)), READER, TABLE).kind).toBe('left');
  });

  it('goes by the first entry where it is from the future, and waits for nothing', () => {
    const bytes = clickAt(CLOSED_UNTIL_MS + 3_600_000, NOON_MS);
    expect(planRedrive(misrouted(bytes), READER, TABLE)).toMatchObject({ kind: 'publish' });
  });
});

describe('what could not be read', () => {
  it('stays as long as this release cannot read it', () => {
    const noBatch = Buffer.from('no batch at all');
    for (const letter of [undecodable(noBatch), undecodable(noBatch, 3), undecodable(new Uint8Array(0))]) {
      expect(planRedrive(letter, READER, TABLE)).toEqual({ kind: 'unreadable', why: 'still undecodable' });
    }
  });

  it('is published as one batch when a whole message can be read', () => {
    const records = [recordOf(), recordOf({ clickId: uuid7At(NOON_MS, 9) })].map(encodeClickRecord);
    const letter = undecodable(marked(...records));
    expect(planRedrive(letter, READER, TABLE).kind).toBe('unreadable');
    expect(planRedrive(letter, LATER_READER, TABLE)).toEqual({ kind: 'publish', shard: SHARD, records });
  });

  it('stays whole while one record of its message cannot be read', () => {
    const letter = undecodable(marked(encodeClickRecord(recordOf()), Buffer.of(1)));
    expect(planRedrive(letter, LATER_READER, TABLE)).toEqual({
      kind: 'unreadable',
      why: 'still undecodable',
    });
  });

  it('is left where the records of its message belong to several shards', () => {
    const records = [recordOf(), recordOf({ adId: ELSEWHERE_AD })].map(encodeClickRecord);
    const plan = planRedrive(undecodable(marked(...records)), LATER_READER, TABLE);
    expect(plan).toMatchObject({ kind: 'left', why: expect.stringMatching(/^its records belong to shards/) });
  });

  it('is never taken for a message where it is a record, wherever it was cut', () => {
    const whole = [recordOf(), recordOf({ impressionId: undefined, attributes: { a: 'b' } })];
    const cut = fc
      .tuple(fc.constantFrom(...whole.map(encodeClickRecord)), fc.nat())
      .map(([bytes, at]) => bytes.subarray(0, at % bytes.length))
      .filter((bytes) => decodeClickFacts(bytes) === undefined);
    fc.assert(
      fc.property(cut, fc.nat({ max: 1 }), (bytes, index) => {
        expect(planRedrive(undecodable(bytes, index), READER, TABLE).kind).toBe('unreadable');
      }),
    );
    // A message inside a message: only what stands at the message's own place may be one.
    const batch = encodeClickBatch(1, [encodeClickRecord(recordOf())]);
    expect(recordsOf(undecodable(batch, 1), READER)).toMatchObject([{ bytes: batch, facts: undefined }]);
    expect(recordsOf(misrouted(batch), READER)).toMatchObject([{ bytes: batch, facts: undefined }]);
  });
});

it('what cannot be judged still says why', () => {
  const facts = factsOf({ adId: 'x'.repeat(AD_ID_HASHED_BYTES_MAX + 1) });
  const letter = { index: 2, reason: 'unjudgeable' as const, bytes: new Uint8Array(1) };
  const plan = planRedrive(letter, { ...READER, record: () => facts }, TABLE);
  expect(plan).toEqual({
    kind: 'unreadable',
    why: 'still unjudgeable: RangeError: ad_id is longer than 1024 bytes',
  });
});

it('a letter has one message id, and no two letters share one', () => {
  const position = { shard: 3, incarnation: '2025-10-01T00:00:00.123Z', sequence: 17, index: 2 };
  expect(redriveMessageId(position)).toBe('redrive-3-2025-10-01T00:00:00.123Z-17-2');
  const others = [{ shard: 31 }, { incarnation: '2025-10-01T00:00:00.124Z' }, { sequence: 1 }, { index: 7 }];
  const ids = [position, ...others.map((other) => ({ ...position, ...other }))].map(redriveMessageId);
  expect(new Set(ids).size).toBe(ids.length);
});
