/**
 * Asking an owner for counts that it has not flushed yet: a request over NATS to the actors process by its name,
 * answered with one message a shard, or several where a shard's rows do not fit one, and an empty one at the end.
 */
import { type NatsConnection, RequestStrategy, type Subscription } from 'nats';
import type { LiveDelta, LiveRequest, LiveRow } from '../../domain/aggregates.ts';

const SUBJECT_PREFIX = 'live.';
/**
 * Rows that surely fit one NATS message (1 MiB): an ad_id has at most 128 bytes, which JSON may double (quotes), and
 * the rest of a row has less than 180.
 */
const ROWS_MAX = 2_000;

function subject(node: string): string {
  // Dots would split the name into subject tokens.
  return `${SUBJECT_PREFIX}${Buffer.from(node).toString('base64url')}`;
}

/**
 * Answers such requests for the process `node`.
 * @param onTrouble hears why a request was left without an answer. What a callback throws would end the client's
 * reading loop without a word: this process would neither read nor publish again, and still hold its shards.
 */
export function serveLiveDeltas(
  connection: NatsConnection,
  node: string,
  answer: (request: LiveRequest) => LiveDelta[],
  onTrouble: (error: unknown) => void,
): Subscription {
  return connection.subscribe(subject(node), {
    callback: (error, message) => {
      if (error !== null) return;
      try {
        for (const delta of answer(message.json<LiveRequest>())) {
          for (const part of parts(delta)) message.respond(JSON.stringify(part));
        }
        message.respond();
      } catch (reason) {
        onTrouble(reason);
      }
    },
  });
}

function* parts(delta: LiveDelta): Generator<LiveDelta> {
  for (let from = 0; from === 0 || from < delta.rows.length; from += ROWS_MAX) {
    yield { ...delta, rows: delta.rows.slice(from, from + ROWS_MAX) };
  }
}

/** The unflushed deltas of all shards of `node`; undefined where it did not answer in time. */
export async function askLiveDeltas(
  connection: NatsConnection,
  node: string,
  request: LiveRequest,
  timeoutMs: number,
): Promise<LiveDelta[] | undefined> {
  const deltas = new Map<number, LiveDelta & { rows: LiveRow[] }>();
  try {
    const replies = await connection.requestMany(subject(node), JSON.stringify(request), {
      strategy: RequestStrategy.SentinelMsg,
      maxWait: timeoutMs,
    });
    for await (const reply of replies) {
      if (reply.data.length === 0) return [...deltas.values()];
      const part = reply.json<LiveDelta & { rows: LiveRow[] }>();
      const known = deltas.get(part.shard);
      if (known === undefined) deltas.set(part.shard, part);
      else known.rows.push(...part.rows);
    }
  } catch {
    // No such process, or no connection: it did not answer.
  }
  return undefined;
}
