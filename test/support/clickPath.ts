/** A gateway's way to the streams, over the fakes. */
import {
  decodeClickFacts,
  encodeClickBatch,
  encodeClickRecord,
} from '../../src/adapters/nats/clickBatchCodec.ts';
import { systemTimers } from '../../src/adapters/system/timers.ts';
import { type ClickPath, type ClickPathParts, openClickPath } from '../../src/gateway/clickPath.ts';
import { NOON_MS } from './clicks.ts';
import type { MemoryRoutingLog } from './memoryRouting.ts';
import { MemorySpoolFolder } from './memorySpoolFolder.ts';
import type { MemoryStreams } from './memoryStream.ts';
import { SilentLog } from './silentLog.ts';

let gateways = 0;

/** @param changes parts of it that are not the ordinary ones */
export function clickPathOver(
  streams: MemoryStreams,
  routing: MemoryRoutingLog,
  changes: Partial<ClickPathParts> = {},
): Promise<ClickPath> {
  gateways += 1;
  const gateway = gateways;
  let batches = 0;
  return openClickPath({
    routing,
    publish: (shard, bytes, batchId) => streams.publish(shard, bytes, batchId),
    findStanding: (shard, batchIds, sinceMs) => streams.findStanding(shard, batchIds, sinceMs),
    folder: new MemorySpoolFolder(),
    bytesMax: 2 ** 26,
    publishTimeoutMs: 2_000,
    encodeRecord: encodeClickRecord,
    encodeBatch: encodeClickBatch,
    decodeRecord: decodeClickFacts,
    gateway: `gateway-${gateway}`,
    hotAdRate: 1_000,
    hotAdCalmMs: 60_000,
    announce: () => undefined,
    newBatchId: () => `gateway-${gateway}-${++batches}`,
    clock: () => NOON_MS,
    timers: systemTimers,
    log: new SilentLog(),
    ...changes,
  });
}
