/**
 * The shards' streams and the routing table as whoever folds a shard reads them, and the one way in which a message
 * becomes judged clicks (I11): the owner's and a recount's.
 */
import type { ClickBatch } from './clickBatch.ts';
import { type JudgedMessage, judgeMessage } from './judgedMessage.ts';
import type { RoutingTable } from './routingTable.ts';
import type { RulesInForce } from './rulesInForce.ts';
import type { StreamMessage, StreamState } from './streamMessage.ts';

export interface ShardStreams {
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

/**
 * Decodes and judges a message of the shard.
 * @param rules the table's own, but where clicks are judged again
 */
export async function examineMessage(
  message: StreamMessage,
  shard: number,
  streams: Pick<ShardStreams, 'decode'>,
  routing: Routing,
  rules: RulesInForce = routing.table,
): Promise<JudgedMessage> {
  const batch = streams.decode(message.bytes);
  // I3: the route is checked only with every entry that the publisher knew.
  if (batch !== undefined) await routing.readThrough(batch.routingSequence);
  return judgeMessage(message, batch, shard, routing.table, rules);
}
