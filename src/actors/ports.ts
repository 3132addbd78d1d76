/** What a shard's owner needs of the outside; main.ts hands it the adapters. */

import type { Checkpoint, Heartbeat, Hold, Renewal, ShardToClaim } from '../domain/checkpoint.ts';
import type { ClickBatch } from '../domain/clickBatch.ts';
import type { Flush, FlushOutcome } from '../domain/flush.ts';
import type { FoldReply } from '../domain/fold.ts';
import type { RoutingTable } from '../domain/routingTable.ts';
import type { StreamMessage, StreamState } from '../domain/streamMessage.ts';

export interface ClickStreams {
  /** The shards that exist. */
  list(): Promise<number[]>;
  state(shard: number): Promise<StreamState>;
  /**
   * Messages of the stream of this incarnation from one sequence on, in order, for ever or through another one.
   * @throws StreamGapError where the stream is another one now, went back, or holds the next message no more (I2)
   */
  read(
    shard: number,
    incarnation: string,
    fromSequence: number,
    stop: AbortSignal,
    throughSequence?: number,
  ): AsyncIterable<StreamMessage>;
  /**
   * The first message with this timestamp or a later one; last + 1 where there is none.
   * @throws StreamGapError where the stream is not the one of this incarnation
   */
  firstSequenceAt(shard: number, incarnation: string, timeMs: number): Promise<number>;
  /** undefined: the bytes are no ClickBatch. */
  decode(bytes: Uint8Array): ClickBatch | undefined;
}

export interface Routing {
  readonly table: RoutingTable;
  /** Reads the table to at least this sequence. */
  readThrough(sequence: number): Promise<void>;
}

export interface FoldMemory {
  fold(
    sequence: number,
    timestampMs: number,
    records: Buffer,
    floor: number,
    purpose: 'count' | 'warm',
  ): Promise<FoldReply>;
  reset(generation: string, through: number, warm: number): Promise<void>;
}

export interface Ledger {
  /** The checkpoints of the shards that now are this node's: at most so many, its own of an earlier life first. */
  claim(shards: readonly ShardToClaim[], most: number): Promise<Checkpoint[]>;
  /** @param lives whether this node is one of the nodes that live, or leaves them */
  renew(beats: readonly Heartbeat[], lives: boolean): Promise<Renewal>;
  store(flush: Flush): Promise<FlushOutcome>;
  /** Gives a shard back, where that hold on it still is the one in the ledger. */
  release(hold: Hold): Promise<void>;
}

/** Word among nodes that shards or nodes came or went. It may be lost: heartbeats find the same, later. */
export interface OwnershipChanges {
  announce(): void;
  /** Calls `heard` whenever another node announces. */
  onChange(heard: () => void): void;
}

export interface Log {
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}
