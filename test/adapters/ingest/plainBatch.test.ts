/** The gateway's own reading of a request of clicks, held against the protobuf library and the rules of admission. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ClickIngestService } from '../../../src/adapters/grpc/contract.ts';
import { readPlainBatch } from '../../../src/adapters/ingest/plainBatch.ts';
import { BytesCache } from '../../../src/adapters/nats/bytesCache.ts';
import { encodeClickRecord } from '../../../src/adapters/nats/clickBatchCodec.ts';
import type { BatchIngestClicksRequest__Output as BatchRequest } from '../../../src/contract/generated/clickledger/v1/BatchIngestClicksRequest.ts';
import type { Click } from '../../../src/contract/generated/clickledger/v1/Click.ts';
import type { RoutedFacts } from '../../../src/domain/clickRecord.ts';
import { clickTimeMs, impressionTimeMs } from '../../../src/domain/identity.ts';
import { CLICK_TEXT_BYTES_MAX, USER_AGENT_BYTES_MAX } from '../../../src/domain/limits.ts';
import { MonthlySalt } from '../../../src/domain/monthlySalt.ts';
import { formatUuid } from '../../../src/domain/uuid7.ts';
import { WrittenClick } from '../../../src/domain/writtenClick.ts';
import { admitClick } from '../../../src/gateway/clickAdmission.ts';
import { BROWSER, NOON_MS, uuid7At } from '../../support/clicks.ts';
import { FINDER } from '../../support/finder.ts';

const METHOD = ClickIngestService.service.BatchIngestClicks;
const decode = (bytes: Buffer): BatchRequest => METHOD.requestDeserialize(bytes);
const userKeySalt = new MonthlySalt(new Uint8Array(16).fill(3));
const finder = FINDER;
const userAgents = new BytesCache((bytes) => finder.ofUserAgent(bytes.toString()), 8, USER_AGENT_BYTES_MAX);
const PARTS = { userKeySalt, finder, userAgents, clock: () => NOON_MS };

/** Another month's user keys. */
const JULY_MS = Date.UTC(2025, 6);

const CLICK: Click = {
  click_id: formatUuid(uuid7At(NOON_MS, 1)),
  impression_id: formatUuid(uuid7At(NOON_MS - 9, 2)),
  ad_id: 'ad-1',
  event_time_ms: NOON_MS,
  ip: '203.0.113.7',
  user_agent: BROWSER,
  referrer: 'https://news.example/',
  country: 'NP',
};

/** What comes of a request by the library and the rules. */
function byTheLibrary(bytes: Buffer): unknown {
  const { source, clicks } = decode(bytes);
  const outcomes = clicks.map((click) => {
    const admission = admitClick(click, { source, receivedMs: NOON_MS, userKeySalt, finder });
    return admission.kind === 'refused'
      ? admission.reason
      : told(admission.record, encodeClickRecord(admission.record));
  });
  return { source, outcomes };
}

/** What comes of it the short way; a click that is not written goes by the rules. */
function theShortWay(bytes: Buffer): unknown {
  const read = readPlainBatch(bytes, decode, PARTS);
  if (read === undefined) return byTheLibrary(bytes);
  const { source } = read;
  const outcomes = read.clicks.map((click) => {
    if (click instanceof WrittenClick) return told(click, click.record);
    const admission = admitClick(click, { source, receivedMs: NOON_MS, userKeySalt, finder });
    return admission.kind === 'refused'
      ? admission.reason
      : told(admission.record, encodeClickRecord(admission.record));
  });
  return { source, outcomes };
}

function told(facts: RoutedFacts, record: Uint8Array) {
  return {
    record: record.toHex(),
    clickId: facts.clickId.toHex(),
    impressionId: facts.impressionId?.toHex(),
    adId: facts.adId,
    receivedMs: facts.receivedMs,
    clickMs: clickTimeMs(facts),
    impressionMs: impressionTimeMs(facts),
  };
}

/** What `work` gives, or that it throws: where both do, the call fails. */
function outcomeOf(work: () => unknown): unknown {
  try {
    return work();
  } catch {
    return 'an error';
  }
}

function written(clicks: readonly Click[], source = 'server-1'): number {
  const bytes = METHOD.requestSerialize({ source, clicks: [...clicks] });
  const read = readPlainBatch(bytes, decode, PARTS);
  return read?.clicks.filter((click) => click instanceof WrittenClick).length ?? 0;
}

const uuid = fc.oneof(
  { weight: 6, arbitrary: fc.nat().map((number) => formatUuid(uuid7At(NOON_MS - number, number))) },
  fc.nat().map((number) => formatUuid(uuid7At(NOON_MS, number)).toUpperCase()),
  fc.uuid({ version: [4, 7] }),
  fc.constantFrom('', 'x', '0198b0c0-0000-7000-8000-00000000000g', '0198b0c0000070008000000000000001----'),
);
const text = (bytesMax: number) =>
  fc.oneof(
    { weight: 6, arbitrary: fc.string({ maxLength: Math.min(bytesMax, 30) }) },
    fc.string({ unit: 'binary', maxLength: 20 }),
    fc.integer({ min: bytesMax - 1, max: bytesMax + 1 }).map((length) => 'x'.repeat(length)),
    fc.integer({ min: bytesMax / 2 - 1, max: bytesMax / 2 + 1 }).map((length) => 'ä'.repeat(length)),
  );
const texts = Object.entries(CLICK_TEXT_BYTES_MAX).map(([field, bytesMax]) => [field, text(bytesMax)]);
const click: fc.Arbitrary<Click> = fc.record(
  {
    ...Object.fromEntries(texts),
    ip: fc.oneof({ weight: 6, arbitrary: fc.oneof(fc.ipV4(), fc.ipV6(), fc.constant('')) }, text(64)),
    user_agent: fc.oneof(fc.constantFrom('', BROWSER, 'curl/8', 'Ä/1'), text(USER_AGENT_BYTES_MAX)),
    country: fc.oneof(fc.constantFrom('', 'NP'), text(16)),
    os: fc.oneof(fc.constantFrom('', 'iOS'), text(64)),
    click_id: uuid,
    impression_id: uuid,
    ad_id: fc.oneof({ weight: 6, arbitrary: fc.constantFrom('ad-1', 'ad-2', 'é') }, text(128)),
    event_time_ms: fc.oneof(
      fc.constantFrom(0, -1, NOON_MS, JULY_MS - 1, JULY_MS, 2 ** 49 - 1, 2 ** 49, 2 ** 53 - 1, 127, 128),
      fc.nat(),
    ),
    test: fc.boolean(),
    attributes: fc.oneof(
      { weight: 4, arbitrary: fc.constant({}) },
      fc.dictionary(text(64), text(256), { maxKeys: 18 }),
    ),
  },
  { requiredKeys: ['click_id'] },
) as fc.Arbitrary<Click>;
const request = fc
  .record({ source: text(128), clicks: fc.array(click, { maxLength: 4 }) })
  .map((message) => METHOD.requestSerialize(message));

describe('a request of clicks read the short way', () => {
  it('comes to the same as by the library and the rules: records, routes and refusals', () => {
    fc.assert(
      fc.property(request, (bytes) => {
        expect(theShortWay(bytes)).toEqual(byTheLibrary(bytes));
      }),
      { numRuns: 3_000 },
    );
  });

  it('also where bytes of it are other ones, or missing, or too many', () => {
    const broken = fc
      .tuple(
        request,
        fc.array(fc.tuple(fc.nat(), fc.nat(255), fc.constantFrom(0, 1, 2)), { minLength: 1, maxLength: 3 }),
      )
      .map(([bytes, changes]) => {
        let changed = Buffer.from(bytes);
        for (const [place, byte, removed] of changes) {
          const at = place % (changed.length + 1);
          const added = removed === 0 ? [byte, byte] : removed === 1 ? [byte] : [];
          changed = Buffer.from([...changed.subarray(0, at), ...added, ...changed.subarray(at + removed)]);
        }
        return changed;
      });
    fc.assert(
      fc.property(broken, (bytes) => {
        expect(outcomeOf(() => theShortWay(bytes))).toEqual(outcomeOf(() => byTheLibrary(bytes)));
      }),
      { numRuns: 5_000 },
    );
  });

  it('writes ordinary clicks, and leaves what is wrong or unusual to the rules', () => {
    expect(written([CLICK, CLICK])).toBe(2);
    expect(written([{ ...CLICK, referrer: 'https://zürich.example/', test: true }])).toBe(1);
    expect(written([{ ...CLICK, click_id: 'x' }, CLICK, { ...CLICK, attributes: { k: 'v' } }])).toBe(1);
    expect(written([CLICK], 'ä')).toBe(0);
  });

  it('leaves texts that are no UTF-8, in any field, to the library', () => {
    for (const field of Object.keys(CLICK_TEXT_BYTES_MAX)) {
      const bytes = METHOD.requestSerialize({ clicks: [{ ...CLICK, [field]: 'replace' }] });
      bytes[bytes.indexOf('replace') + 3] = 0xff;
      expect(theShortWay(bytes), field).toEqual(byTheLibrary(bytes));
    }
  });

  it('leaves a text that is longer than its click to the library, which reads on into the next one', () => {
    const country = Buffer.from([0x4a, 1, 0x58]);
    const first = Buffer.concat([METHOD.requestSerialize({ clicks: [{ ...CLICK, country: '' }] }), country]);
    // The click's own length: two bytes behind its key.
    first[1] = (first[1] ?? 0) + country.length;
    const next = METHOD.requestSerialize({ clicks: [CLICK] });
    for (let more = 0; more <= next.length; more++) {
      const bytes = Buffer.concat([first, next]);
      bytes[first.length - 2] = 1 + (more % 127);
      expect(
        outcomeOf(() => theShortWay(bytes)),
        `${more} bytes more`,
      ).toEqual(outcomeOf(() => byTheLibrary(bytes)));
    }
  });

  it('takes the last of a field that stands there twice', () => {
    const one = METHOD.requestSerialize({ clicks: [CLICK] }).subarray(3);
    const other = METHOD.requestSerialize({
      clicks: [{ ad_id: 'ad-2', user_agent: '', ip: '::1' }],
    }).subarray(2);
    const length = one.length + other.length;
    const bytes = Buffer.from([0x12, (length & 0x7f) | 0x80, length >> 7, ...one, ...other]);
    expect(decode(bytes).clicks[0]).toMatchObject({ ad_id: 'ad-2', country: 'NP' });
    expect(theShortWay(bytes)).toEqual(byTheLibrary(bytes));
  });
});
