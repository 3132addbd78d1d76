/**
 * The fold's memory in Redis (I5): one script call a message. A shard's keys share one hash tag, so they live on
 * one primary; the stream's incarnation is part of their name, so a stream made anew starts with nothing. So is the
 * number of the stored format: a memory of another format is not there (`none`), and is filled again.
 *
 * I7: an error here is never an answer. Whoever calls waits and asks again, with the same sequence.
 */
import path from 'node:path';
import { Redis } from 'ioredis';
import { type FoldReply, foldSeconds } from '../../domain/fold.ts';

interface FoldCommands {
  foldMessage(key: string, ...args: (string | number | Buffer)[]): Promise<(string | number)[]>;
  foldReset(key: string, ...args: (string | number)[]): Promise<string>;
}

const COMMAND_TIMEOUT_MS = 5_000;

/**
 * A connection for folding: commands fail while Redis is away, instead of waiting in a queue of the client's.
 * @param onError hears of lost connections; the client keeps trying for ever
 */
export function connectRedis(url: string, onError: (error: Error) => void): Redis {
  const redis = new Redis(url, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    commandTimeout: COMMAND_TIMEOUT_MS,
    // A connection over which nothing comes back any more is replaced, a moment after its commands were given up.
    socketTimeout: COMMAND_TIMEOUT_MS + 1_000,
    retryStrategy: (attempt) => Math.min(50 * attempt, 1_000),
  });
  redis.on('error', onError);
  return redis;
}

/** The memories of all shards over one connection. */
export async function loadFoldMemories(
  redis: Redis,
  horizonMs: number,
): Promise<(shard: number, incarnation: string) => FoldMemory> {
  const [fold, reset] = await Promise.all(['fold.lua', 'reset.lua'].map(readScript));
  redis.defineCommand('foldMessage', { numberOfKeys: 1, lua: fold ?? '' });
  redis.defineCommand('foldReset', { numberOfKeys: 1, lua: reset ?? '' });
  return (shard, incarnation) => new FoldMemory(redis as Redis & FoldCommands, shard, incarnation, horizonMs);
}

function readScript(file: string): Promise<string> {
  return Bun.file(path.join(import.meta.dirname, file)).text();
}

export class FoldMemory {
  readonly #redis: Redis & FoldCommands;
  readonly #key: string;
  readonly #horizonSeconds: number;

  constructor(redis: Redis & FoldCommands, shard: number, incarnation: string, horizonMs: number) {
    this.#redis = redis;
    this.#key = `fold2:{${shard}:${incarnation}}`;
    this.#horizonSeconds = foldSeconds(horizonMs);
  }

  /**
   * Folds one message, or gives the verdicts that it got before.
   * @param records n × FOLD_RECORD_BYTES, as `writeFoldRecord` writes them
   * @param floor the caller's committed floor
   * @param purpose `count`: the verdicts are needed; `warm`: only the memory is filled
   */
  async fold(
    sequence: number,
    timestampMs: number,
    records: Buffer,
    floor: number,
    purpose: 'count' | 'warm',
  ): Promise<FoldReply> {
    const [kind, first, warm, time] = await this.#redis.foldMessage(
      this.#key,
      sequence,
      foldSeconds(timestampMs),
      this.#horizonSeconds,
      floor,
      purpose,
      records,
    );
    switch (kind) {
      case 'verdicts':
        return { kind, letters: String(first) };
      case 'behind':
        return { kind, through: Number(first), warm: Number(warm), streamTimeMs: Number(time) * 1000 };
      case 'done':
      case 'none':
      case 'gone':
        return { kind };
      default:
        throw new Error(`the fold answered ${String(kind)}`);
    }
  }

  /** Forgets everything and begins a new generation: `through` + 1 is folded next, verdicts are given beyond `warm`. */
  async reset(generation: string, through: number, warm: number): Promise<void> {
    await this.#redis.foldReset(this.#key, generation, through, warm);
  }
}
