/** A shard's row in the ledger: who owns it, and how far its stream is inside the counts. */
export interface Checkpoint {
  readonly shard: number;
  /** When the shard's stream was created, as the broker said it when the row was made. */
  readonly incarnation: string;
  /** The owner's number; rises by one at every take-over. */
  readonly epoch: number;
  /** The owner's random word. A ledger that went back to an earlier state gives an epoch out twice, never a word. */
  readonly claim: string;
  /** The highest stream sequence whose clicks are all inside the counts. */
  readonly floor: number;
  /** Running maximum of the message timestamps up to the floor, milliseconds since the Unix epoch. */
  readonly streamTimeMs: number;
  /** Everything received before this moment of the broker's clock is inside the floor. */
  readonly arrivedThroughMs: number;
}

/** What an owner says of a shard at each heartbeat. */
export interface Heartbeat {
  readonly shard: number;
  readonly epoch: number;
  readonly claim: string;
  readonly floor: number;
  /** Where a flush under way moves the floor; the same as `floor` where there is none. */
  readonly flushingTo: number;
  readonly arrivedThroughMs: number;
}

/** A shard that has no owner yet, as the broker shows it. */
export interface ShardToClaim {
  readonly shard: number;
  readonly incarnation: string;
  /** The new owner's random word. */
  readonly claim: string;
  /**
   * Only from another owner whose lease has run out: this node's own pause after a failure is not over, and must not
   * keep the shard of a node that died waiting.
   */
  readonly onlyTakeOver: boolean;
}

/** What a heartbeat brings. */
export interface Renewal {
  /** The shards whose checkpoint is still the one that the owner knows. */
  readonly held: ReadonlySet<number>;
  /** The names of the nodes that live, this one included unless it leaves. */
  readonly nodes: readonly string[];
}

/** Which hold on a shard is given back. */
export type Hold = Pick<Checkpoint, 'shard' | 'epoch' | 'claim'>;
