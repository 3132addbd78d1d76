/**
 * Floor of part b: the same parts in a straight line, in one process, as someone would write it who needs no owners, no
 * checkpoints and no proof. It publishes messages of clicks with acknowledgements (fsync), reads them again, decodes
 * them, asks Redis once a message which impressions are new, counts in one Map, and adds that to a table by unnest.
 *
 * What it leaves out: it routes by nothing, judges nothing, knows a repeat from no duplicate, forgets nothing, and a
 * crash at any moment loses or doubles counts.
 */
import type { Redis } from 'ioredis';
import type { JetStreamClient, JetStreamManager } from 'nats';
import type { Pool } from 'pg';
import protobuf from 'protobufjs/minimal.js';
import { encodeClickBatch } from '../../../adapters/nats/clickBatchCodec.ts';
import { BATCH, DELIMITED, RECORD, tag, VARINT } from '../../../adapters/nats/clickFields.ts';
import type { BenchInstallation } from '../benchInstallation.ts';
import { type TimedRun, timedRun } from '../timedRun.ts';
import { encodeRecords, type Workload } from '../workload.ts';
import { FLOOR_STREAMS, floorSubject } from './floorStreams.ts';

export const LINE_PREFIX = 'LINE';
const CLICKS_A_MESSAGE = 1_000;
const MESSAGES_IN_FLIGHT = 32;
const BUCKETS = 65_536;
const FLUSH_MS = 1_000;
const HASH_BYTES = 12;
const PREFETCH_MESSAGES = 200;

const TABLE = `
  create table if not exists line_count (ad_id text, minute timestamptz, clicks bigint, primary key (ad_id, minute))`;

const FLUSH = {
  name: 'straight-line',
  text: `
  insert into line_count as stored
  select ad_id, to_timestamp(minute), clicks from unnest($1::text[], $2::bigint[], $3::bigint[]) as row (ad_id, minute, clicks)
  on conflict (ad_id, minute) do update set clicks = stored.clicks + excluded.clicks`,
};

/** Twelve bytes an impression, into small hashes; answers a 1 or a 0 each. */
const SEE_SCRIPT = `
  local seen = {}
  for at = 1, #ARGV[1], ${HASH_BYTES} do
    local hash = string.sub(ARGV[1], at, at + ${HASH_BYTES - 1})
    local bucket = struct.unpack('>I4', hash) % ${BUCKETS}
    seen[#seen + 1] = redis.call('HSETNX', KEYS[1] .. bucket, hash, 1)
  end
  return table.concat(seen)`;

interface SeeCommand {
  seeMessage(key: string, hashes: Buffer): Promise<string>;
}

export interface LineServers {
  readonly installation: BenchInstallation;
  readonly client: JetStreamClient;
  readonly manager: JetStreamManager;
  readonly redis: Redis;
  readonly pool: Pool;
}

export class StraightLine {
  readonly #servers: LineServers;
  readonly #redis: SeeCommand;
  readonly #counts = new Map<string, number>();
  /** Messages that are published, and of these the ones that are counted. */
  #published = 0;
  #counted = 0;
  readonly #ended: (() => void)[] = [];

  private constructor(servers: LineServers) {
    this.#servers = servers;
    this.#redis = servers.redis as unknown as SeeCommand;
  }

  /** Begins to read the streams, which are there. */
  static async open(servers: LineServers): Promise<StraightLine> {
    servers.redis.defineCommand('seeMessage', { numberOfKeys: 1, lua: SEE_SCRIPT });
    await servers.pool.query(TABLE);
    const line = new StraightLine(servers);
    for (let number = 0; number < FLOOR_STREAMS; number += 1) await line.#read(`${LINE_PREFIX}_${number}`);
    return line;
  }

  async #read(stream: string): Promise<void> {
    const consumer = await this.#servers.client.consumers.get(stream);
    const messages = await consumer.consume({ max_messages: PREFETCH_MESSAGES });
    this.#ended.push(() => messages.stop());
    void (async () => {
      for await (const message of messages) await this.#take(message.data);
    })().catch(() => undefined);
  }

  async #take(bytes: Uint8Array): Promise<void> {
    const { keys, hashes } = decode(bytes);
    const seen = await this.#redis.seeMessage('line:', hashes);
    for (const [index, key] of keys.entries())
      if (seen[index] === '1') this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
    this.#counted += 1;
  }

  /** From the first publish until all is committed. */
  count(workload: Workload): Promise<TimedRun> {
    const records = encodeRecords(workload);
    const messages: Uint8Array[] = [];
    for (let from = 0; from < records.length; from += CLICKS_A_MESSAGE)
      messages.push(encodeClickBatch(1, records.slice(from, from + CLICKS_A_MESSAGE)));
    const goal = this.#published + messages.length;
    this.#published = goal;
    let next = 0;
    const publishOn = async () => {
      for (let number = next++; number < messages.length; number = next++)
        await this.#servers.client.publish(floorSubject(LINE_PREFIX, number), messages[number]);
    };
    return timedRun(this.#servers.installation, records.length, () =>
      Promise.all([this.#flushUntil(goal), ...Array.from({ length: MESSAGES_IN_FLIGHT }, publishOn)]),
    );
  }

  async #flushUntil(goal: number): Promise<void> {
    let lastMs = performance.now();
    while (this.#counted < goal || this.#counts.size > 0) {
      await Bun.sleep(10);
      if (this.#counted < goal && performance.now() - lastMs < FLUSH_MS) continue;
      lastMs = performance.now();
      await this.#flush();
    }
  }

  async #flush(): Promise<void> {
    const counts = [...this.#counts].map(([key, clicks]) => [...key.split('|'), clicks] as const);
    this.#counts.clear();
    const [adIds, minutes, clicks] = [0, 1, 2].map((column) => counts.map((row) => row[column]));
    await this.#servers.pool.query({ ...FLUSH, values: [adIds, minutes, clicks] });
  }

  close(): void {
    for (const end of this.#ended) end();
  }
}

const SECONDS_A_MINUTE = 60;
const SEED = 1n;

/** Of each record the key it is counted under, and the hash of its ad and impression. */
function decode(bytes: Uint8Array): { keys: string[]; hashes: Buffer } {
  const reader = protobuf.Reader.create(bytes);
  const keys: string[] = [];
  const identities: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const field = reader.uint32();
    if (field !== tag(BATCH.records, DELIMITED)) {
      reader.skipType(field & 7);
      continue;
    }
    const end = reader.uint32() + reader.pos;
    let adId = '';
    let minute = 0;
    let impression: Uint8Array = new Uint8Array();
    while (reader.pos < end) {
      const key = reader.uint32();
      if (key === tag(RECORD.impressionId, DELIMITED)) impression = reader.bytes();
      else if (key === tag(RECORD.adId, DELIMITED)) adId = reader.string();
      else if (key === tag(RECORD.eventTimeMs, VARINT)) minute = minuteOfMs(Number(reader.int64()));
      else reader.skipType(key & 7);
    }
    keys.push(`${adId}|${minute}`);
    identities.push(impression);
  }
  const hashes = Buffer.alloc(keys.length * HASH_BYTES);
  for (const [index, key] of keys.entries()) {
    const hash = Bun.hash.xxHash64(identities[index] ?? '', SEED);
    hashes.writeBigUInt64BE(hash, index * HASH_BYTES);
    hashes.writeUInt32BE(Bun.hash.xxHash32(key), index * HASH_BYTES + 8);
  }
  return { keys, hashes };
}

function minuteOfMs(ms: number): number {
  return Math.floor(ms / 1_000 / SECONDS_A_MINUTE) * SECONDS_A_MINUTE;
}
