/**
 * The shards' streams: `CLICKS_<shard>` with the subject `clicks.<shard>`. The shards are the streams that exist
 * (I16). A stream denies delete and purge and carries nothing else, so its sequences are dense (I2). It has no limit
 * of its own either: what is old goes only when it is archived and counted (ageLimit.ts).
 */
import { type JetStreamManager, NatsError, nanos, RetentionPolicy, StorageType, type StreamInfo } from 'nats';
import type { StreamState } from '../../domain/streamMessage.ts';
import { raiseReplicas } from './replicas.ts';

/** Where a message carries the id with which it was published. */
export const MESSAGE_ID_HEADER = 'Nats-Msg-Id';
const STREAM_PREFIX = 'CLICKS_';
const STREAM_NOT_FOUND = 10_059;

/** How long the broker itself absorbs a repeated publish; the fold absorbs it for the whole horizon. */
const DUPLICATE_WINDOW_MS = 120_000;

export function clickStream(shard: number): string {
  return `${STREAM_PREFIX}${shard}`;
}

export function clickSubject(shard: number): string {
  return `clicks.${shard}`;
}

/** What a stream is outside of the moments in which old messages are removed. */
export const NO_AGE_LIMIT = { max_age: 0, duplicate_window: nanos(DUPLICATE_WINDOW_MS) } as const;

/** An age limit, and what follows from it: the broker refuses to absorb repeats for longer. */
export function ageLimits(maxAgeMs: number): { max_age: number; duplicate_window: number } {
  return {
    max_age: nanos(maxAgeMs),
    duplicate_window: nanos(Math.min(DUPLICATE_WINDOW_MS, maxAgeMs)),
  };
}

/** Makes the streams of shards 0 to `shards` - 1 that do not exist yet; those that do get as many replicas as asked for. */
export async function ensureClickStreams(
  manager: JetStreamManager,
  shards: number,
  replicas = 1,
): Promise<void> {
  for (let shard = 0; shard < shards; shard++) {
    const found = await findStream(manager, clickStream(shard));
    if (found !== undefined) {
      await raiseReplicas(manager, found, replicas, NO_AGE_LIMIT);
      continue;
    }
    await manager.streams.add({
      name: clickStream(shard),
      subjects: [clickSubject(shard)],
      storage: StorageType.File,
      retention: RetentionPolicy.Limits,
      ...NO_AGE_LIMIT,
      num_replicas: replicas,
      deny_delete: true,
      deny_purge: true,
    });
  }
}

/** The shards that exist, in order. */
export async function listShards(manager: JetStreamManager): Promise<number[]> {
  const shards: number[] = [];
  for await (const name of manager.streams.names()) {
    const [, digits] = /^CLICKS_(\d+)$/.exec(name) ?? [];
    if (digits !== undefined) shards.push(Number(digits));
  }
  return shards.sort((left, right) => left - right);
}

/** @throws Error where the shard has no stream. */
export async function readStreamState(manager: JetStreamManager, shard: number): Promise<StreamState> {
  const info = await findStream(manager, clickStream(shard));
  if (info === undefined) throw new Error(`the stream ${clickStream(shard)} does not exist`);
  return {
    incarnation: info.created,
    firstSequence: info.state.first_seq,
    lastSequence: info.state.last_seq,
    brokerTimeMs: Date.parse(info.ts ?? ''),
  };
}

export async function findStream(manager: JetStreamManager, name: string): Promise<StreamInfo | undefined> {
  try {
    return await manager.streams.info(name);
  } catch (error) {
    if (error instanceof NatsError && error.api_error?.err_code === STREAM_NOT_FOUND) return undefined;
    throw error;
  }
}
