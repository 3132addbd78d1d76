/** Everything between a click that was taken in and the streams, put together; the simulator runs the same. */
import type { RateAnnouncement } from '../domain/announcedRates.ts';
import type { ClickFacts, ClickRecord } from '../domain/clickRecord.ts';
import type { Timers } from '../domain/timers.ts';
import { ClickLog } from './clickLog.ts';
import { ClosedUntil } from './closedUntil.ts';
import { GroupCommit } from './groupCommit.ts';
import { HotAds } from './hotAds.ts';
import type { OpenLeftSpool } from './leftSpools.ts';
import type { FindStanding, Log, PublishBatch, RoutingWriter, SpoolFolder } from './ports.ts';
import { Spool } from './spool.ts';
import { SpoolDrain } from './spoolDrain.ts';

export interface ClickPathParts {
  readonly routing: RoutingWriter;
  readonly publish: PublishBatch;
  readonly findStanding: FindStanding;
  readonly folder: SpoolFolder;
  readonly bytesMax: number;
  readonly publishTimeoutMs: number;
  readonly encodeRecord: (record: ClickRecord) => Uint8Array;
  /** One message's bytes, of the bytes of its records, routed by the table up to this sequence. */
  readonly encodeBatch: (routingSequence: number, records: readonly Uint8Array[]) => Uint8Array;
  /** undefined: the record cannot be read. */
  readonly decodeRecord: (bytes: Uint8Array) => ClickFacts | undefined;
  /** A name that no other gateway has. */
  readonly gateway: string;
  /** Clicks a second of an ad that one sub-shard should bear. */
  readonly hotAdRate: number;
  /** For how long an ad must be calm before its fan-out shrinks. */
  readonly hotAdCalmMs: number;
  /** Says it to all gateways, this one included. May get lost. */
  readonly announce: (announcement: RateAnnouncement) => void;
  /** A new id, never given before by any gateway. */
  readonly newBatchId: () => string;
  /** Milliseconds since the Unix epoch. */
  readonly clock: () => number;
  readonly timers: Timers;
  readonly log: Log;
}

export interface ClickPath {
  readonly clickLog: ClickLog;
  readonly spool: Spool;
  readonly hotAds: HotAds;
  /** Drains the spool until `stop`. */
  readonly drainSpool: (stop: AbortSignal) => Promise<void>;
  readonly openLeftSpool: OpenLeftSpool;
}

export async function openClickPath(parts: ClickPathParts): Promise<ClickPath> {
  const { routing } = parts;
  const spool = await Spool.open(parts);
  const shared = {
    ...parts,
    spool,
    closedUntil: new ClosedUntil(parts),
    dedupHorizonMs: routing.table.rules.dedupHorizonMs,
    encodeBatch: (records: readonly Uint8Array[]) => parts.encodeBatch(routing.table.sequence, records),
  };
  const groupCommit = new GroupCommit(shared);
  const onDelivered = (shard: number) => groupCommit.delivered(shard);
  const drain = new SpoolDrain({ ...shared, onDelivered });
  const hotAds = new HotAds(parts);
  return {
    clickLog: new ClickLog({ ...shared, groupCommit, hotAds }),
    spool,
    hotAds,
    drainSpool: (stop) => drain.run(stop),
    openLeftSpool: async (folder) => {
      const left = await Spool.open({ ...parts, folder });
      const leftDrain = new SpoolDrain({ ...shared, spool: left, onDelivered });
      return { spool: left, drain: (stop) => leftDrain.runUntilEmpty(stop) };
    },
  };
}
