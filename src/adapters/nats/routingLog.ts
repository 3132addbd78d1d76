/**
 * The routing table's stream (I3): `ROUTING`, denied delete and purge, read by every gateway and owner. An entry
 * is appended by a compare-and-set on the stream's last sequence, so two writers never decide on different tables.
 *
 * Every entry has a subject of its own and is kept for ever; `closed_until` has one subject, of which only the
 * newest message is kept, because it only ever rises and a later one says all that an earlier one said.
 */
import {
  AckPolicy,
  DeliverPolicy,
  type JetStreamClient,
  type JetStreamManager,
  NatsError,
  nanos,
  StorageType,
} from 'nats';
import * as z from 'zod';
import { type RoutingEntry, RoutingTable } from '../../domain/routingTable.ts';
import { findStream } from './clickStreams.ts';
import { raiseReplicas } from './replicas.ts';

const STREAM = 'ROUTING';
const CLOSED_UNTIL_SUBJECT = 'routing.closed_until';
const ENTRY_SUBJECT_PREFIX = 'routing.entry.';
const NO_MESSAGE_FOUND = 10_037;
const WRONG_LAST_SEQUENCE = 10_071;
/** Entries that are read at once when a process starts, and how long they are waited for. */
const PORTION_ENTRIES = 1_000;
const PORTION_MS = 5_000;

const milliseconds = z.number().int().nonnegative();
const count = z.number().int().min(1);
const entrySchema: z.ZodType<RoutingEntry> = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('created'),
    shards: count,
    rules: z.object({
      version: count,
      maxFutureSkewMs: milliseconds,
      maxEventAgeMs: milliseconds,
      dedupHorizonMs: milliseconds,
    }),
  }),
  z.object({ kind: z.literal('shards'), shards: count, fromMs: milliseconds }),
  z.object({ kind: z.literal('fan_out'), adId: z.string(), fanOut: count, fromMs: milliseconds }),
  z.object({ kind: z.literal('rules'), version: count, fromMs: milliseconds }),
  z.object({ kind: z.literal('closed_until'), untilMs: milliseconds }),
]);

/** Makes the stream where there is none; one that is there gets as many replicas as asked for, never fewer. */
export async function ensureRoutingStream(manager: JetStreamManager, replicas = 1): Promise<void> {
  const found = await findStream(manager, STREAM);
  if (found !== undefined) {
    await raiseReplicas(manager, found, replicas);
    return;
  }
  await manager.streams.add({
    name: STREAM,
    subjects: ['routing.>'],
    storage: StorageType.File,
    max_msgs_per_subject: 1,
    num_replicas: replicas,
    deny_delete: true,
    deny_purge: true,
  });
}

/** When the stream was made, to tell this installation from others. @throws Error where there is none */
export async function routingIncarnation(manager: JetStreamManager): Promise<string> {
  return (await manager.streams.info(STREAM)).created;
}

export class RoutingLog {
  readonly #client: JetStreamClient;
  readonly #manager: JetStreamManager;
  #table: RoutingTable | undefined;
  #reading: Promise<void> | undefined;

  constructor(client: JetStreamClient, manager: JetStreamManager) {
    this.#client = client;
    this.#manager = manager;
  }

  /** The table as read so far. @throws Error before the first `read` of a table that was created. */
  get table(): RoutingTable {
    if (this.#table === undefined)
      throw new Error('the routing table is empty: run `clickledger migrate` first');
    return this.#table;
  }

  get isCreated(): boolean {
    return this.#table !== undefined;
  }

  /** Reads what was appended since the last read. Concurrent calls share one read. */
  async read(): Promise<void> {
    this.#reading ??= this.#readOn().finally(() => {
      this.#reading = undefined;
    });
    await this.#reading;
  }

  /** Reads the table to at least this sequence. */
  async readThrough(sequence: number): Promise<void> {
    if (this.#table !== undefined && this.#table.sequence >= sequence) return;
    // A read under way may have begun before that entry was there.
    await this.#reading;
    await this.read();
    if (this.table.sequence < sequence) {
      throw new Error(
        `a message names routing entry ${sequence}, but the table ends at ${this.table.sequence}`,
      );
    }
  }

  /**
   * Appends, if nothing was appended since this table was read. False: somebody else did; read and decide again.
   * @throws Error before anything is sent, where the entry may not follow on this table
   */
  async append(entry: RoutingEntry): Promise<boolean> {
    this.#table?.check(entry);
    const last = this.#table?.sequence ?? 0;
    const subject =
      entry.kind === 'closed_until' ? CLOSED_UNTIL_SUBJECT : `${ENTRY_SUBJECT_PREFIX}${last + 1}`;
    let appended = true;
    try {
      await this.#client.publish(subject, JSON.stringify(entry), { expect: { lastSequence: last } });
    } catch (error) {
      if (!(error instanceof NatsError) || error.api_error?.err_code !== WRONG_LAST_SEQUENCE) throw error;
      appended = false;
    }
    await this.#reading;
    await this.read();
    return appended;
  }

  async #readOn(): Promise<void> {
    for (;;) {
      const message = await this.#next((this.#table?.sequence ?? 0) + 1);
      if (message === undefined) return;
      const isFirst = this.#table === undefined;
      this.#take(message.sequence, message.text);
      if (isFirst) await this.#readPortions();
    }
  }

  #take(sequence: number, text: string): void {
    const entry = entrySchema.parse(JSON.parse(text));
    if (this.#table === undefined) this.#table = RoutingTable.create(sequence, entry);
    else this.#table.append(sequence, entry);
  }

  /**
   * Reads on in portions: a process that starts may have years of entries before it. Sequences have holes, of which none
   * can be told from a lost message; what the consumer delivers is numbered without. Where one is missing all the same, or
   * nothing comes, reading goes on one by one from there.
   */
  async #readPortions(): Promise<void> {
    const { name, num_pending: pending } = await this.#manager.consumers.add(STREAM, {
      ack_policy: AckPolicy.None,
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: this.table.sequence + 1,
      mem_storage: true,
      inactive_threshold: nanos(10 * PORTION_MS),
    });
    const consumer = await this.#client.consumers.get(STREAM, name);
    let taken = 0;
    for (let before = -1; before < taken && taken < pending; ) {
      before = taken;
      const portion = await consumer.fetch({ max_messages: PORTION_ENTRIES, expires: PORTION_MS });
      for await (const message of portion) {
        if (message.info.deliverySequence !== taken + 1) break;
        this.#take(message.seq, message.string());
        taken += 1;
        if (taken === pending) break;
      }
    }
    // The broker removes it by itself; saying so only makes it sooner.
    void consumer.delete().catch(() => undefined);
  }

  async #next(fromSequence: number): Promise<{ sequence: number; text: string } | undefined> {
    try {
      // The server's own name for "the first message at or after this sequence"; the client's types lack it.
      const query = { seq: fromSequence, next_by_subj: 'routing.>' };
      const message = await this.#manager.streams.getMessage(STREAM, query);
      return { sequence: message.seq, text: message.string() };
    } catch (error) {
      if (error instanceof NatsError && error.api_error?.err_code === NO_MESSAGE_FOUND) return undefined;
      throw error;
    }
  }
}
