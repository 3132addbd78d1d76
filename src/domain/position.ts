/** Where a record stands, for ever; what the publisher of a click gets back as its receipt. */
export interface Position {
  readonly shard: number;
  /** When the shard's stream was created, as the broker says it: a stream made anew has another. */
  readonly incarnation: string;
  /** The message's sequence in the stream, from 1. */
  readonly sequence: number;
  /** The record's place in the message, from 0. */
  readonly index: number;
}

/** Where a published message stands; its records follow by index. */
export type PublishedBatch = Pick<Position, 'incarnation' | 'sequence'>;
