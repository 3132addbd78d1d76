/** Part e: the two things that every click pays for besides its way: its place in the fold's memory, and its flush. */
import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { Pool } from 'pg';
import { readSettings } from '../../../adapters/environment/settings.ts';
import { DayPartitions } from '../../../adapters/postgres/dayPartitions.ts';
import { storeFlush } from '../../../adapters/postgres/storeFlush.ts';
import { loadFoldMemories } from '../../../adapters/redis/foldMemory.ts';
import type { DeltaRow, Flush } from '../../../domain/flush.ts';
import { FOLD_RECORD_BYTES, writeFoldRecord } from '../../../domain/fold.ts';
import { emptyCounts } from '../../../domain/windowCounts.ts';
import { CliError } from '../../cliError.ts';
import { type Bench, inTurn, type Section, scaled } from '../bench.ts';
import { adId } from '../benchAds.ts';
import { type BenchInstallation, withInstallation } from '../benchInstallation.ts';
import { type Measured, ratio } from '../figure.ts';
import { UNNEST_TABLE, upsertByUnnest } from '../floors/unnestUpsert.ts';
import { ProcessorMeter } from '../processorTime.ts';
import { withRedis } from '../redisClient.ts';
import { type BenchClick, makeWorkload, recordOf } from '../workload.ts';

const IDENTITIES = 400_000;
/** As under load: some hundred clicks a message, several messages on their way to one shard's memory or other shards'. */
const RECORDS_A_MESSAGE = 500;
const SHARDS = 16;
const FLUSH_ROWS = 1_000;
const FLUSHES = 60;
const GOAL = { sense: 'at most', floor: 45, goal: 35 } as const;

export const foldAndFlush: Section = {
  letter: 'e',
  title: 'the fold in Redis, the flush in PostgreSQL',
  how:
    `Fold: ${IDENTITIES} identities of one click each, all new, over ${SHARDS} shards in messages of ${RECORDS_A_MESSAGE} records, by the actors' own code; bytes by ` +
    'used_memory of an empty Redis, microseconds by its processor time. Against: SET NX EX, a key an identity, in pipelines as long. ' +
    `Flush: ${FLUSHES} flushes of ${FLUSH_ROWS} rows by the actors' own code on one connection, half of them onto rows that are there; against the ` +
    'same rows by a plain upsert from unnest, without a checkpoint, in a table without partitions.',
  leavesOut:
    'Freeing of what is older than the horizon; Redis writes its log (appendfsync everysec) in both cases.',
  measure,
};

function measure(bench: Bench): Promise<Measured> {
  return withInstallation(bench, {}, (installation) =>
    withRedis(installation.environment, async (redis) => {
      const pool = new Pool({ connectionString: installation.environment['DATABASE_URL'], max: 1 });
      pool.on('error', () => undefined);
      try {
        const flusher = await Flusher.open(pool);
        const flushes = scaled(bench, FLUSHES, 2);
        const rowsOf = () => flushRows(installation.nextMinuteMs(), flushes);
        bench.progress('warming up');
        await flusher.flush(rowsOf());
        await foldOnce(bench, installation, redis);
        return figuresOf(
          await inTurn(bench, {
            fold: () => foldOnce(bench, installation, redis),
            keys: () => keysOnce(bench, installation, redis),
            flush: () => flusher.flush(rowsOf()),
            unnest: () => timedRows(rowsOf(), (rows) => upsertByUnnest(pool, rows)),
          }),
        );
      } finally {
        await pool.end();
      }
    }),
  );
}

interface Folded {
  readonly bytes: number;
  readonly microseconds: number;
}

async function foldOnce(bench: Bench, installation: BenchInstallation, redis: Redis): Promise<Folded> {
  const { dedupHorizonMs } = readSettings(installation.environment, ['dedupHorizonMs']);
  const memoryOf = await loadFoldMemories(redis, dedupHorizonMs);
  const messages = foldMessages(newClicks(bench, installation));
  const nowMs = Date.now();
  return onEmptyRedis(bench, installation, redis, async () => {
    const foldShard = async (shard: number) => {
      const memory = memoryOf(shard, 'bench');
      await memory.reset(randomUUID(), 0, 0);
      let sequence = 0;
      for (let number = shard; number < messages.length; number += SHARDS) {
        sequence += 1;
        const reply = await memory.fold(
          sequence,
          nowMs,
          messages[number] ?? Buffer.alloc(0),
          sequence - 1,
          'count',
        );
        if (reply.kind !== 'verdicts' || /[^V]/.test(reply.letters))
          throw new CliError(`the fold answered ${JSON.stringify(reply)} to clicks that are all new`);
      }
    };
    await Promise.all(Array.from({ length: SHARDS }, (_, shard) => foldShard(shard)));
  });
}

function keysOnce(bench: Bench, installation: BenchInstallation, redis: Redis): Promise<Folded> {
  const clicks = newClicks(bench, installation);
  return onEmptyRedis(bench, installation, redis, async () => {
    for (let from = 0; from < clicks.length; from += RECORDS_A_MESSAGE) {
      const pipeline = redis.pipeline();
      for (const click of clicks.slice(from, from + RECORDS_A_MESSAGE))
        pipeline.set(`${click.adId}:${click.impressionId}`, 1, 'EX', 86_400, 'NX');
      await pipeline.exec();
    }
  });
}

/** What it leaves in Redis, and takes of its processor. */
async function onEmptyRedis(
  bench: Bench,
  installation: BenchInstallation,
  redis: Redis,
  work: () => Promise<void>,
): Promise<Folded> {
  const count = scaled(bench, IDENTITIES, RECORDS_A_MESSAGE);
  await redis.flushall();
  const before = await usedBytes(redis);
  const meter = await ProcessorMeter.begin(await installation.processes());
  await work();
  const { 'redis-server': microseconds = Number.NaN } = await meter.perClick(count);
  return { bytes: ((await usedBytes(redis)) - before) / count, microseconds };
}

async function usedBytes(redis: Redis): Promise<number> {
  return Number(/^used_memory:(\d+)/m.exec(await redis.info('memory'))?.[1]);
}

function newClicks(bench: Bench, installation: BenchInstallation): BenchClick[] {
  const count = scaled(bench, IDENTITIES, RECORDS_A_MESSAGE);
  const ids = makeWorkload(1, installation.nextMinuteMs(), () => '').clicks[0];
  if (ids === undefined) return [];
  const numbered = (id: string, number: number) =>
    `${id.slice(0, -8)}${number.toString(16).padStart(8, '0')}`;
  return Array.from({ length: count }, (_, number) => ({
    adId: adId(number % 1_000),
    clickId: numbered(ids.clickId, number),
    impressionId: numbered(ids.impressionId, number),
    context: 0,
  }));
}

/** What the fold gets to see of them, a buffer a message. */
function foldMessages(clicks: readonly BenchClick[]): Buffer[] {
  const messages: Buffer[] = [];
  for (let from = 0; from < clicks.length; from += RECORDS_A_MESSAGE) {
    const part = clicks.slice(from, from + RECORDS_A_MESSAGE);
    const bytes = Buffer.alloc(part.length * FOLD_RECORD_BYTES);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (const [index, click] of part.entries())
      writeFoldRecord(recordOf(click, 0), true, view, index * FOLD_RECORD_BYTES);
    messages.push(bytes);
  }
  return messages;
}

/** Each portion of rows twice: the second time they are there. */
function flushRows(minute: number, flushes: number): DeltaRow[][] {
  const portions = Array.from({ length: Math.ceil(flushes / 2) }, (_, portion) =>
    Array.from({ length: FLUSH_ROWS }, (_, row) => ({
      adId: adId(portion * FLUSH_ROWS + row),
      minute,
      counts: { ...emptyCounts(), valid: 3, fingerprintHigh: 2 ** 33, fingerprintLow: 2 ** 33 },
    })),
  );
  return [...portions, ...portions];
}

/** @returns rows a second */
async function timedRows(
  portions: readonly DeltaRow[][],
  store: (rows: readonly DeltaRow[]) => Promise<unknown>,
): Promise<number> {
  const startMs = performance.now();
  for (const rows of portions) await store(rows);
  return (portions.length * FLUSH_ROWS) / ((performance.now() - startMs) / 1_000);
}

/** A shard's owner as far as flushing goes. */
class Flusher {
  readonly #pool: Pool;
  readonly #partitions: DayPartitions;
  readonly #claim = randomUUID();
  #floor = 0;

  private constructor(pool: Pool) {
    this.#pool = pool;
    this.#partitions = new DayPartitions(pool);
  }

  static async open(pool: Pool): Promise<Flusher> {
    const flusher = new Flusher(pool);
    await pool.query(UNNEST_TABLE);
    await pool.query(
      `insert into shard (shard, incarnation, owner, epoch, claim) values (0, 'bench', 'bench', 1, $1)`,
      [flusher.#claim],
    );
    return flusher;
  }

  /** @returns rows a second */
  flush(portions: readonly DeltaRow[][]): Promise<number> {
    return timedRows(portions, async (rows) => {
      const flush: Flush = {
        shard: 0,
        incarnation: 'bench',
        epoch: 1,
        claim: this.#claim,
        floor: this.#floor,
        newFloor: this.#floor + 1,
        streamTimeMs: 0,
        arrivedThroughMs: 0,
        rows,
        ruleSetVersions: rows.map(() => 1),
        rollups: [],
        people: [],
        records: rows.length,
        duplicates: 0,
        deadLetters: [],
      };
      const outcome = await storeFlush(this.#pool, this.#partitions, flush);
      if (outcome.kind !== 'stored') throw new CliError(`a flush was ${outcome.kind}: ${outcome.found}`);
      this.#floor += 1;
    });
  }
}

interface Results {
  readonly fold: readonly Folded[];
  readonly keys: readonly Folded[];
  readonly flush: readonly number[];
  readonly unnest: readonly number[];
}

function figuresOf({ fold, keys, flush, unnest }: Results): Measured {
  const bytes = (runs: readonly Folded[]) => runs.map((run) => run.bytes);
  const microseconds = (runs: readonly Folded[]) => runs.map((run) => run.microseconds);
  return {
    figures: [
      { name: 'fold, an identity', unit: 'bytes', values: bytes(fold), goal: GOAL },
      { name: 'SET NX EX, an identity', unit: 'bytes', values: bytes(keys) },
      { name: 'fold, a click', unit: 'µs', values: microseconds(fold) },
      { name: 'SET NX EX, a click', unit: 'µs', values: microseconds(keys) },
      ratio('fold / SET NX EX, bytes', bytes(fold), bytes(keys)),
      ratio('fold / SET NX EX, µs', microseconds(fold), microseconds(keys)),
      { name: 'flush, rows', unit: '/s', values: flush },
      { name: 'plain unnest upsert, rows', unit: '/s', values: unnest },
      ratio('flush / plain unnest upsert', flush, unnest),
    ],
    processor: [],
  };
}
