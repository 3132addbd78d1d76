/**
 * The hand-written codec held against the contract: what it writes, protobufjs reads from click.proto; what
 * protobufjs writes, it reads. And no bytes whatever throw out of it.
 */
import { join, resolve } from 'node:path';
import fc from 'fast-check';
import protobuf from 'protobufjs';
import { describe, expect, test } from 'vitest';
import {
  decodeClickBatch,
  decodeClickFacts,
  decodeClickRecord,
  encodeClickBatch,
  encodeClickRecord,
} from '../../../src/adapters/nats/clickBatchCodec.ts';
import { type ClickFacts, type ClickRecord, EMPTY_CONTEXT } from '../../../src/domain/clickRecord.ts';
import { CHANNELS, clickRecord, SIGNATURES } from '../../support/anyClick.ts';

const PROTO = resolve(import.meta.dirname, '../../../proto');
const root = new protobuf.Root();
root.resolvePath = (_origin, target) => join(PROTO, target);
root.loadSync('clickledger/v1/click.proto', { keepCase: true });
const Batch = root.lookupType('clickledger.v1.ClickBatch');
const Record_ = root.lookupType('clickledger.v1.ClickRecord');

const records = fc.array(clickRecord, { maxLength: 5 });
const routingSequence = fc.oneof(fc.nat(100), fc.maxSafeNat());

function factsOf(record: ClickRecord): ClickFacts {
  const { clickId, impressionId, adId, eventTimeMs, receivedMs, channel, signature } = record;
  const { head, prefetch, test: isTest, userAgent } = record;
  return {
    clickId,
    impressionId,
    adId,
    eventTimeMs,
    receivedMs,
    channel,
    signature,
    head,
    prefetch,
    test: isTest,
    userAgent,
  };
}

/** The record as the contract's own library writes it down. */
function messageOf(record: ClickRecord): Record<string, unknown> {
  return {
    click_id: record.clickId,
    ...(record.impressionId === undefined ? {} : { impression_id: record.impressionId }),
    ad_id: record.adId,
    event_time_ms: record.eventTimeMs,
    received_ms: record.receivedMs,
    channel: CHANNELS.indexOf(record.channel) + 1,
    signature: SIGNATURES.indexOf(record.signature),
    head: record.head,
    prefetch: record.prefetch,
    test: record.test,
    ...(record.userAgent === undefined ? {} : { user_agent: record.userAgent }),
    user_key: record.userKey,
    referrer: record.referrer,
    country: record.country,
    region: record.region,
    device_type: record.deviceType,
    os: record.os,
    browser: record.browser,
    publisher_id: record.publisherId,
    placement_id: record.placementId,
    creative_id: record.creativeId,
    source: record.source,
    attributes: record.attributes,
  };
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** Bytes as text, so that a Buffer and a Uint8Array of the same bytes are equal. */
function comparable(value: unknown): unknown {
  if (value instanceof Uint8Array) return hex(value);
  if (Array.isArray(value)) return value.map(comparable);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, comparable(part)]));
}

function readByContract(bytes: Uint8Array): unknown {
  const message = Batch.toObject(Batch.decode(bytes), { longs: Number, defaults: true, arrays: true });
  return comparable(message);
}

const sound: ClickRecord = {
  ...EMPTY_CONTEXT,
  clickId: Uint8Array.fromHex('0199c6d2a0007abc8def0123456789ab'),
  impressionId: Uint8Array.fromHex('0199c6d2a0007abc8def0123456789ac'),
  adId: 'ad',
  eventTimeMs: 1_760_000_000_000,
  receivedMs: 1_760_000_000_001,
  channel: 'HTTP',
  signature: 'VALID',
  head: false,
  prefetch: false,
  test: false,
  userAgent: 'Mozilla/5.0',
  userKey: new Uint8Array(16),
};

/** A batch with its records' bytes, which are made only for whoever asks. */
function readable(decoded: ReturnType<typeof decodeClickBatch> | ClickFacts): unknown {
  if (decoded === undefined || !('records' in decoded)) return comparable(decoded);
  const { routingSequence, records } = decoded;
  return comparable({ routingSequence, records: records.map(({ bytes, facts }) => ({ bytes, facts })) });
}

function decodeOne(bytes: Uint8Array): ClickFacts | undefined {
  const batch = decodeClickBatch(encodeClickBatch(1, [bytes]));
  expect(batch?.records).toHaveLength(1);
  return batch?.records[0]?.facts;
}

describe('against the contract', () => {
  test('what is encoded here, protobufjs decodes to the same, field by field', () => {
    fc.assert(
      fc.property(routingSequence, records, (sequence, clicks) => {
        const bytes = encodeClickBatch(sequence, clicks.map(encodeClickRecord));
        expect(Batch.verify(Batch.toObject(Batch.decode(bytes)))).toBe(null);
        expect(readByContract(bytes)).toEqual(
          comparable({
            routing_sequence: sequence,
            records: clicks.map((click) => ({ impression_id: '', ...messageOf(click) })),
          }),
        );
      }),
      { numRuns: 300 },
    );
  });

  test('what protobufjs encodes is decoded to the same facts here', () => {
    fc.assert(
      fc.property(routingSequence, records, (sequence, clicks) => {
        const message = { routing_sequence: sequence, records: clicks.map(messageOf) };
        const batch = decodeClickBatch(Batch.encode(Batch.fromObject(message)).finish());
        expect(batch?.routingSequence).toBe(sequence);
        expect(comparable(batch?.records.map(({ facts }) => facts))).toEqual(comparable(clicks.map(factsOf)));
        expect(comparable(batch?.records.map(({ bytes }) => decodeClickRecord(bytes)))).toEqual(
          comparable(clicks),
        );
      }),
      { numRuns: 300 },
    );
  });

  test('a click whose context cannot be read keeps its facts', () => {
    // Attributes whose key says that it is longer than they are.
    const bytes = Buffer.concat([encodeClickRecord(sound), Buffer.from([0xba, 0x01, 0x02, 0x0d, 0x01])]);
    expect(decodeClickRecord(bytes)).toEqual({ ...decodeClickFacts(bytes), ...EMPTY_CONTEXT });
  });

  test('a round trip keeps the facts and the bytes of each record, out of any kind of buffer', () => {
    fc.assert(
      fc.property(routingSequence, records, fc.nat(9), (sequence, clicks, before) => {
        const encoded = clicks.map(encodeClickRecord);
        const bytes = encodeClickBatch(sequence, encoded);
        // A view in the middle of other bytes, as a network client hands it out.
        const around = new Uint8Array(bytes.length + before + 7).fill(0xff);
        around.set(bytes, before);
        const view = around.subarray(before, before + bytes.length);
        for (const given of [bytes, Buffer.from(bytes), view]) {
          const batch = decodeClickBatch(given);
          expect(batch?.routingSequence).toBe(sequence);
          expect(batch?.records.map((record) => hex(record.bytes))).toEqual(encoded.map(hex));
          expect(comparable(batch?.records.map(({ facts }) => facts))).toEqual(
            comparable(clicks.map(factsOf)),
          );
        }
      }),
      { numRuns: 200 },
    );
  });

  test('unknown fields, as a later release may write them, are skipped', () => {
    const later = protobuf.Root.fromJSON({
      nested: {
        Later: {
          fields: {
            number: { type: 'uint64', id: 100 },
            bytes: { type: 'bytes', id: 101 },
            fixed32: { type: 'fixed32', id: 102 },
            fixed64: { type: 'fixed64', id: 5_000 },
            own: { type: 'Later', id: 103 },
          },
        },
      },
    }).lookupType('Later');
    const own = { number: 5, bytes: Buffer.from('own') };
    const extra = later
      .encode({ number: 2 ** 40, bytes: Buffer.from('x'), fixed32: 7, fixed64: 9, own })
      .finish();
    const record = encodeClickRecord(sound);
    expect(comparable(decodeOne(Buffer.concat([extra, record, extra])))).toEqual(comparable(factsOf(sound)));
    const batch = decodeClickBatch(Buffer.concat([extra, encodeClickBatch(3, [record]), extra]));
    expect(batch?.routingSequence).toBe(3);
    expect(comparable(batch?.records[0]?.facts)).toEqual(comparable(factsOf(sound)));
  });

  test('of a field that stands there twice the last one counts, as in every protobuf reader', () => {
    const twice = Buffer.concat([
      encodeClickRecord({ ...sound, adId: 'first', head: true }),
      encodeClickRecord({ ...sound, adId: 'second' }),
    ]);
    const decoded = Record_.toObject(Record_.decode(twice), { defaults: true }) as {
      ad_id: string;
      head: boolean;
    };
    expect(decodeOne(twice)).toMatchObject({ adId: decoded.ad_id, head: decoded.head });
    expect(decoded.ad_id).toBe('second');
  });
});

describe('whatever the bytes', () => {
  test('decoding never throws, and gives no batch or one with as many records as it says', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const batch = decodeClickBatch(bytes);
        if (batch !== undefined)
          expect(batch.records.every((record) => record.bytes.length < 200)).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });

  test('a batch with some bytes changed never throws either', () => {
    const bytes = encodeClickBatch(7, [encodeClickRecord(sound), encodeClickRecord(sound)]);
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { maxLength: 4 }), (changes) => {
        const changed = Uint8Array.from(bytes);
        for (const [at, value] of changes) changed[at] = value;
        const facts = decodeClickBatch(changed)?.records.map((record) => record.facts) ?? [];
        for (const one of facts) {
          if (one === undefined) continue;
          expect(one.clickId).toHaveLength(16);
          expect(one.adId).not.toBe('');
          expect(CHANNELS).toContain(one.channel);
          expect(SIGNATURES).toContain(one.signature);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test('what is read the fast way, the protobuf library reads to the same', () => {
    const record = encodeClickRecord({
      ...sound,
      head: true,
      referrer: 'https://news.example/',
      userAgent: 'é',
    });
    const batch = encodeClickBatch(300, [record, encodeClickRecord(sound)]);
    // With an unknown field before everything else it is the library that reads.
    const unknown = Uint8Array.of(0xa0, 0x06, 0x01);
    const byLibrary = (bytes: Uint8Array) => Buffer.concat([unknown, bytes]);
    const interesting = fc.oneof(fc.constantFrom(0, 1, 2, 0x7f, 0x80, 0x81, 0xff), fc.nat(255));
    const changes = fc.array(fc.tuple(fc.nat(batch.length - 1), interesting), { maxLength: 4 });
    const extra = fc.array(fc.tuple(fc.nat(batch.length - 1), interesting), { maxLength: 2 });
    fc.assert(
      fc.property(changes, extra, fc.nat({ max: 20 }), (changed, inserted, cut) => {
        for (const [original, decode] of [
          [batch, (bytes: Uint8Array) => decodeClickBatch(bytes)],
          [record, (bytes: Uint8Array) => decodeClickFacts(bytes)],
        ] as const) {
          const bytes = [...original];
          for (const [at, value] of changed) bytes[at % original.length] = value;
          for (const [at, value] of inserted) bytes.splice(at % original.length, 0, value);
          const broken = Uint8Array.from(bytes.slice(0, bytes.length - cut));
          expect(readable(decode(broken))).toEqual(readable(decode(byLibrary(broken))));
        }
      }),
      { numRuns: 5_000 },
    );
  });

  test.each([2, 3, 4, 5, 6, 7, 8, 10])('so are numbers that take %i bytes without need', (length) => {
    const unknown = Uint8Array.of(0xa0, 0x06, 0x01);
    const longer = (value: number) => [0x80 | value, ...Array<number>(length - 2).fill(0x80), 0];
    const record = [...encodeClickRecord({ ...sound, referrer: 'https://news.example/' })];
    for (const [at, value] of record.entries()) {
      if (value >= 0x80) continue;
      const bytes = Uint8Array.from([...record.slice(0, at), ...longer(value), ...record.slice(at + 1)]);
      const byLibrary = decodeClickFacts(Buffer.concat([unknown, bytes]));
      expect(comparable(decodeClickFacts(bytes)), `byte ${at}`).toEqual(comparable(byLibrary));
    }
  });

  test('a batch that is cut off anywhere but between records is no batch', () => {
    const record = encodeClickRecord(sound);
    const bytes = encodeClickBatch(300, [record, record, record]);
    const whole = new Set([
      0,
      3,
      ...[1, 2, 3].map((count) => encodeClickBatch(300, Array(count).fill(record)).length),
    ]);
    for (let length = 0; length <= bytes.length; length++) {
      const batch = decodeClickBatch(bytes.subarray(0, length));
      expect(batch === undefined, `cut after ${length} bytes`).toBe(!whole.has(length));
    }
  });

  test('an empty message is a batch without records', () => {
    expect(decodeClickBatch(new Uint8Array(0))).toEqual({ routingSequence: 0, records: [] });
  });
});

describe('a record that cannot be judged has no facts, but keeps its bytes and its place', () => {
  const version4 = Uint8Array.from(sound.clickId);
  version4[6] = 0x40;
  const variant0 = Uint8Array.from(sound.clickId);
  variant0[8] = 0x10;

  test.each([
    ['a click_id of version 4', { clickId: version4 }],
    ['a click_id of another variant', { clickId: variant0 }],
    ['a click_id of 15 bytes', { clickId: sound.clickId.subarray(1) }],
    ['a click_id of 17 bytes', { clickId: Uint8Array.from([...sound.clickId, 1]) }],
    ['no click_id', { clickId: new Uint8Array(0) }],
    ['an impression_id of version 4', { impressionId: version4 }],
    ['an empty impression_id that is there', { impressionId: new Uint8Array(0) }],
    ['no ad_id', { adId: '' }],
    ['an ad_id with a NUL', { adId: 'a\0b' }],
    ['no time of receipt', { receivedMs: 0 }],
    ['a receipt before 1970', { receivedMs: -1 }],
    ['a receipt after the year 9999', { receivedMs: Date.UTC(10_000, 0) }],
    ['an ad_id of 1,025 bytes', { adId: 'a'.repeat(1_025) }],
    ['an ad_id of 1,026 bytes in 513 characters', { adId: 'é'.repeat(513) }],
  ] satisfies [string, Partial<ClickRecord>][])('%s', (_what, wrong) => {
    const good = encodeClickRecord(sound);
    const bad = encodeClickRecord({ ...sound, ...wrong });
    const batch = decodeClickBatch(encodeClickBatch(1, [good, bad, good]));
    expect(batch?.records.map(({ facts }) => facts !== undefined)).toEqual([true, false, true]);
    expect(hex(batch?.records[1]?.bytes ?? new Uint8Array(0))).toBe(hex(bad));
  });

  test.each([
    ['no channel', { channel: 0 }],
    ['an unknown channel', { channel: 3 }],
    ['an unknown signature', { signature: 4 }],
  ])('%s', (_what, wrong) => {
    const bytes = Record_.encode(Record_.fromObject(messageOf(sound))).finish();
    expect(decodeOne(bytes)).toBeDefined();
    const broken = Record_.encode({ ...messageOf(sound), ...wrong }).finish();
    expect(decodeOne(broken)).toBeUndefined();
  });

  test('bytes that are no record, and a record that is cut off', () => {
    expect(decodeOne(new Uint8Array(0))).toBeUndefined();
    expect(decodeOne(Buffer.from([0xff, 0xff, 0xff]))).toBeUndefined();
    const bytes = encodeClickRecord({ ...sound, referrer: 'a referrer at the end' });
    expect(decodeOne(bytes.subarray(0, bytes.length - 1))).toBeUndefined();
  });

  test('a record that is cut off inside its last text', () => {
    const bytes = encodeClickRecord({ ...sound, ...EMPTY_CONTEXT, userAgent: 'a user agent at the end' });
    expect(decodeOne(bytes)?.userAgent).toBe('a user agent at the end');
    for (const cut of [1, 5, 22]) expect(decodeOne(bytes.subarray(0, -cut)), `${cut}`).toBeUndefined();
  });

  test('bytes are read alike, whatever holds them', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 8 }), fc.nat({ max: 8 }), (garbage, cut) => {
        const record = encodeClickRecord({ ...sound, ...EMPTY_CONTEXT, userAgent: 'x'.repeat(8) });
        const bytes = new Uint8Array(record);
        bytes.set(garbage, bytes.length - garbage.length);
        const left = bytes.subarray(0, bytes.length - cut);
        expect(decodeClickFacts(Buffer.from(left))).toEqual(decodeClickFacts(left));
      }),
    );
  });

  test.each(['a', 'a'.repeat(1_024), 'é'.repeat(512), '\u007f\n'])(
    'but an ad_id that is just right is',
    (adId) => {
      expect(decodeOne(encodeClickRecord({ ...sound, adId }))?.adId).toBe(adId);
    },
  );
});
