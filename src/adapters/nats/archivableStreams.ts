/** The shards' streams as an archiver needs them: read with all that is kept, and relieved of what is old. */
import type { JetStreamClient, JetStreamManager } from 'nats';
import type { StoredMessage, StreamState } from '../../domain/streamMessage.ts';
import type { Timers } from '../../domain/timers.ts';
import { liftAgeLimit, removeOlderThan } from './ageLimit.ts';
import { ClickReader } from './clickReader.ts';
import { listShards, readStreamState } from './clickStreams.ts';

export class ArchivableStreams {
  readonly #manager: JetStreamManager;
  readonly #reader: ClickReader;
  readonly #timers: Timers;

  /** @param onTrouble hears at every try why a delivery broke, and whether it is the first of an outage; what it throws ends the reading */
  constructor(
    client: JetStreamClient,
    manager: JetStreamManager,
    timers: Timers,
    onTrouble: (shard: number, error: unknown, isFirst: boolean) => void,
  ) {
    this.#manager = manager;
    this.#timers = timers;
    this.#reader = new ClickReader(client, manager, onTrouble);
  }

  shards(): Promise<number[]> {
    return listShards(this.#manager);
  }

  state(shard: number): Promise<StreamState> {
    return readStreamState(this.#manager, shard);
  }

  firstSequenceAt(shard: number, incarnation: string, timeMs: number): Promise<number> {
    return this.#reader.firstSequenceAt(shard, incarnation, timeMs);
  }

  readStored(
    shard: number,
    incarnation: string,
    fromSequence: number,
    stop: AbortSignal,
    throughSequence: number,
  ): AsyncIterable<StoredMessage> {
    return this.#reader.readStored(shard, incarnation, fromSequence, stop, throughSequence);
  }

  removeOlderThan(shard: number, maxAgeMs: number, keepFrom: number): Promise<number> {
    return removeOlderThan(this.#manager, shard, maxAgeMs, keepFrom, this.#timers);
  }

  keepEverything(shard: number): Promise<void> {
    return liftAgeLimit(this.#manager, shard);
  }
}
