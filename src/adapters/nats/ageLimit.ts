/**
 * Takes old messages off a shard's stream, which denies delete and purge: the stream gets an age limit for a moment.
 *
 * A limit on the age and not on the number of messages, because it stays harmless where a crash leaves it behind: new
 * clicks push nothing out, however many they are; what it removes is as old as it says, whoever forgot it. The next
 * archiver, and every `migrate`, takes it back first.
 */
import type { JetStreamManager } from 'nats';
import type { Timers } from '../../domain/timers.ts';
import { ageLimits, clickStream, NO_AGE_LIMIT, readStreamState } from './clickStreams.ts';

/** The broker removes within milliseconds; so long it is waited for. */
const REMOVING_MS = 5_000;
const POLL_MS = 20;

/**
 * Removes what is older than `maxAgeMs`: everything before `keepFrom` at least, and little more.
 * @returns the stream's first sequence afterwards
 */
export async function removeOlderThan(
  manager: JetStreamManager,
  shard: number,
  maxAgeMs: number,
  keepFrom: number,
  timers: Timers,
): Promise<number> {
  await manager.streams.update(clickStream(shard), ageLimits(maxAgeMs));
  try {
    for (let waitedMs = 0; waitedMs < REMOVING_MS; waitedMs += POLL_MS) {
      if ((await readStreamState(manager, shard)).firstSequence >= keepFrom) break;
      await timers.pause(POLL_MS);
    }
  } finally {
    await liftAgeLimit(manager, shard);
  }
  return (await readStreamState(manager, shard)).firstSequence;
}

/** The stream keeps everything again. */
export async function liftAgeLimit(manager: JetStreamManager, shard: number): Promise<void> {
  const { config } = await manager.streams.info(clickStream(shard));
  if (config.max_age === 0 && config.duplicate_window === NO_AGE_LIMIT.duplicate_window) return;
  await manager.streams.update(clickStream(shard), NO_AGE_LIMIT);
}
