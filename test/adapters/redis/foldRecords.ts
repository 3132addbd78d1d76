/** Records for the fold as tests make them: identities and clicks by number, hashed as evenly as real ones. */

import type { FoldMemory } from '../../../src/adapters/redis/foldMemory.ts';
import { FOLD_RECORD_BYTES, horizonStartMs } from '../../../src/domain/fold.ts';
import { CLICK_HASH_BYTES, IDENTITY_HASH_BYTES } from '../../../src/domain/identity.ts';

/** Identity, click, whether its content is billable. */
export type TestRecord = readonly [identity: number, click: number, billable: boolean];

export interface TestMessage {
  readonly sequence: number;
  readonly timestampMs: number;
  readonly records: Buffer;
}

/** Any moment: the fold knows no clock. */
export const START_MS = 1_760_000_000_000;

export function foldRecords(records: readonly TestRecord[]): Buffer {
  const bytes = Buffer.alloc(records.length * FOLD_RECORD_BYTES);
  for (const [index, [identity, click, billable]] of records.entries()) {
    const offset = index * FOLD_RECORD_BYTES;
    bytes.writeBigUInt64BE(Bun.hash.xxHash64(`identity ${identity}`), offset);
    bytes.writeUInt32BE(identity, offset + 8);
    bytes.writeBigUInt64BE(
      Bun.hash.xxHash64(`click ${click}`),
      offset + FOLD_RECORD_BYTES - 1 - CLICK_HASH_BYTES,
    );
    bytes[offset + IDENTITY_HASH_BYTES + CLICK_HASH_BYTES] = billable ? 1 : 0;
  }
  return bytes;
}

/** Messages from sequence 1 on; each `stepMs` moves the timestamp, backwards too. */
export function testStream(
  steps: readonly { readonly stepMs: number; readonly records: readonly TestRecord[] }[],
): TestMessage[] {
  let timestampMs = START_MS;
  return steps.map(({ stepMs, records }, index) => {
    timestampMs += stepMs;
    return { sequence: index + 1, timestampMs, records: foldRecords(records) };
  });
}

/** What an owner does on `none` and `gone` (I5): begins one horizon back and fills the memory up to just before `next`. */
export async function rebuild(
  memory: FoldMemory,
  generation: string,
  stream: readonly TestMessage[],
  next: number,
  horizonMs: number,
): Promise<void> {
  const streamTimeMs = Math.max(...stream.slice(0, next).map(({ timestampMs }) => timestampMs));
  const oldest = horizonStartMs(streamTimeMs, horizonMs);
  const first = stream.find(({ timestampMs }) => timestampMs >= oldest)?.sequence ?? next;
  const from = Math.min(first, next);
  await memory.reset(generation, from - 1, next - 1);
  for (const message of stream.slice(from - 1, next - 1)) {
    const reply = await memory.fold(message.sequence, message.timestampMs, message.records, 0, 'warm');
    if (reply.kind !== 'done') throw new Error(`warm filling was answered with ${reply.kind}`);
  }
}

/** A small seeded generator (mulberry32): whole numbers below `below`. */
export function seededNumbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (((mixed ^ (mixed >>> 14)) >>> 0) % below) | 0;
  };
}
