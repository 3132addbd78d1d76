/** What a shard's owner needs of the outside; main.ts hands it the adapters. */

import type { Checkpoint, Heartbeat, Hold, Renewal, ShardToClaim } from '../domain/checkpoint.ts';
import type { Flush, FlushOutcome } from '../domain/flush.ts';
import type { FoldReply } from '../domain/fold.ts';
import type { ShardStreams } from '../domain/shardStreams.ts';

export interface ClickStreams extends ShardStreams {
  /** The shards that exist. */
  list(): Promise<number[]>;
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
