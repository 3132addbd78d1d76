/** The gateway's own writing of a reply, held against the protobuf library. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ClickIngestService } from '../../../src/adapters/grpc/contract.ts';
import { writePlainReply } from '../../../src/adapters/ingest/plainReply.ts';
import type { IngestResult } from '../../../src/contract/generated/clickledger/v1/IngestResult.ts';

const METHOD = ClickIngestService.service.BatchIngestClicks;

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.constantFrom('', 'made-1', '2025-06-15T12:00:00Z'),
);
const uint32 = fc.oneof(fc.constantFrom(0, 127, 128, 2 ** 32 - 1), fc.nat());
const result: fc.Arbitrary<IngestResult> = fc.oneof(
  fc.constant({ status: 'ACCEPTED' as const }),
  fc.record({ status: fc.constant('REJECTED' as const), reason: text }),
  fc.record({
    status: fc.constant('ACCEPTED' as const),
    receipt: fc.record({
      shard: uint32,
      stream_incarnation: text,
      stream_sequence: fc.oneof(fc.maxSafeNat(), fc.constantFrom(0, 2 ** 32)),
      index: uint32,
    }),
  }),
);

it('a reply is byte by byte what the library writes', () => {
  fc.assert(
    fc.property(fc.array(result, { maxLength: 20 }), (results) => {
      expect(writePlainReply({ results }).toHex()).toBe(METHOD.responseSerialize({ results }).toHex());
    }),
    { numRuns: 1_000 },
  );
});
