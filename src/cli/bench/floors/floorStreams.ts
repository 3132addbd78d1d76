/** Streams for what the ledger is held against: as many as it has, with the same settings, on the same server. */
import { type JetStreamManager, RetentionPolicy, StorageType } from 'nats';
import { NO_AGE_LIMIT } from '../../../adapters/nats/clickStreams.ts';

export const FLOOR_STREAMS = 16;

/** Makes `<prefix>_0` and so on, each with the subject `<prefix>.0` and so on. */
export async function makeFloorStreams(manager: JetStreamManager, prefix: string): Promise<void> {
  for (let number = 0; number < FLOOR_STREAMS; number += 1) {
    await manager.streams.add({
      name: `${prefix}_${number}`,
      subjects: [floorSubject(prefix, number)],
      storage: StorageType.File,
      retention: RetentionPolicy.Limits,
      ...NO_AGE_LIMIT,
      deny_delete: true,
      deny_purge: true,
    });
  }
}

export function floorSubject(prefix: string, number: number): string {
  return `${prefix}.${number % FLOOR_STREAMS}`;
}
