/** What the archiver does, in the process's log. */
import type { ArchivedSegment } from '../domain/archivedSegment.ts';
import type { Log } from './auditPorts.ts';

export class ArchiveLog {
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  archived(shard: number, { file, firstSequence, lastSequence, records, bytes }: ArchivedSegment): void {
    this.#log.info({ shard, file, firstSequence, lastSequence, records, bytes }, 'archived');
  }

  removed(shard: number, fromSequence: number, throughSequence: number): void {
    this.#log.info({ shard, fromSequence, throughSequence }, 'old messages are in the archive only now');
  }

  troubled(shard: number, error: unknown): void {
    this.#log.error({ shard, err: error }, 'a shard could not be archived');
  }
}
