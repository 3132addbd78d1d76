/**
 * The shards' streams as a recount or an audit reads them: from the archive what the broker no longer holds, from the
 * broker all the rest, as one stream without a gap or an overlap (I2).
 */
import {
  ArchiveDamagedError,
  type ArchivedSegment,
  type ArchivedStream,
  newestSegment,
} from '../domain/archivedSegment.ts';
import type { ClickBatch } from '../domain/clickBatch.ts';
import type { ShardStreams } from '../domain/shardStreams.ts';
import { StreamGapError, type StreamMessage, type StreamState } from '../domain/streamMessage.ts';
import { checkIncarnation } from '../domain/streamPlace.ts';
import { readArchivedStream } from './manifest.ts';
import type { ArchiveStore, SegmentFormat } from './ports.ts';
import { readArchived } from './segmentCopy.ts';

export class ArchivedStreams implements ShardStreams {
  readonly #live: ShardStreams;
  readonly #store: ArchiveStore;
  readonly #format: SegmentFormat;

  constructor(live: ShardStreams, store: ArchiveStore, format: SegmentFormat) {
    this.#live = live;
    this.#store = store;
    this.#format = format;
  }

  /** The first sequence is the archive's, where it joins up with the stream. */
  async state(shard: number): Promise<StreamState> {
    const state = await this.#live.state(shard);
    const [oldest] = await this.#before(shard, state);
    return oldest === undefined ? state : { ...state, firstSequence: oldest.firstSequence };
  }

  async firstSequenceAt(shard: number, incarnation: string, timeMs: number): Promise<number> {
    const state = await this.#live.state(shard);
    checkIncarnation(shard, incarnation, state.incarnation);
    const archived = { shard, incarnation, segments: await this.#before(shard, state) };
    const segment = archived.segments.find(({ streamTimeMs }) => streamTimeMs >= timeMs);
    if (segment !== undefined) {
      for await (const { sequence, timestampMs } of this.#readSegment(archived, segment, 0))
        if (timestampMs >= timeMs && sequence < state.firstSequence) return sequence;
    }
    return this.#live.firstSequenceAt(shard, incarnation, timeMs);
  }

  async *read(
    shard: number,
    incarnation: string,
    fromSequence: number,
    stop: AbortSignal,
    throughSequence = Infinity,
  ): AsyncGenerator<StreamMessage> {
    let next = fromSequence;
    while (next <= throughSequence && !stop.aborted) {
      const state = await this.#live.state(shard);
      checkIncarnation(shard, incarnation, state.incarnation);
      const isArchived = next < state.firstSequence;
      const messages = isArchived
        ? this.#readArchived(shard, state, next)
        : this.#live.read(shard, incarnation, next, stop, throughSequence);
      try {
        for await (const message of messages) {
          if (stop.aborted) return;
          next = message.sequence + 1;
          yield message;
          if (next > throughSequence) return;
        }
        if (!isArchived) return;
      } catch (error) {
        // What it was about to read may have been removed meanwhile: then the archive has it.
        if (isArchived || !(error instanceof StreamGapError) || !(await this.#hasGone(shard, next)))
          throw error;
      }
    }
  }

  decode(bytes: Uint8Array): ClickBatch | undefined {
    return this.#live.decode(bytes);
  }

  async #hasGone(shard: number, sequence: number): Promise<boolean> {
    const state = await this.#live.state(shard);
    const [oldest] = await this.#before(shard, state);
    return oldest !== undefined && sequence >= oldest.firstSequence && sequence < state.firstSequence;
  }

  /** From there on what the stream does not hold. @throws ArchiveDamagedError */
  async *#readArchived(
    shard: number,
    state: StreamState,
    fromSequence: number,
  ): AsyncGenerator<StreamMessage> {
    const segments = await this.#before(shard, state);
    const archived = { shard, incarnation: state.incarnation, segments };
    const [oldest] = segments;
    if (oldest === undefined || fromSequence < oldest.firstSequence) {
      throw new ArchiveDamagedError(
        `message ${fromSequence} of shard ${shard} is neither on the stream, which begins at ${state.firstSequence}, nor in ${this.#store.place}`,
      );
    }
    for (const segment of segments) {
      if (segment.lastSequence < fromSequence) continue;
      for await (const message of this.#readSegment(archived, segment, fromSequence)) {
        if (message.sequence >= state.firstSequence) return;
        yield message;
      }
    }
  }

  #readSegment(stream: ArchivedStream, segment: ArchivedSegment, fromSequence: number) {
    return readArchived(this.#store, this.#format, stream, segment, fromSequence);
  }

  /** The segments with what the stream does not hold any more; none where they do not reach up to it. */
  async #before(
    shard: number,
    { incarnation, firstSequence }: StreamState,
  ): Promise<readonly ArchivedSegment[]> {
    if (firstSequence === 1) return [];
    const archived = await readArchivedStream(this.#store, shard, incarnation);
    const reachesUp = (newestSegment(archived)?.lastSequence ?? 0) >= firstSequence - 1;
    return reachesUp ? archived.segments.filter((segment) => segment.firstSequence < firstSequence) : [];
  }
}
