/**
 * Asking an owner for counts that it has not flushed yet: a request over NATS to the actors process by its name,
 * answered with one message a shard, or several where its rows do not fit one, and an empty one at the end.
 */
import { type NatsConnection, RequestStrategy, type Subscription } from 'nats';
import type { LiveDelta, LiveRequest, LiveRow } from '../../domain/aggregates.ts';
import type { RollupRow } from '../../domain/dimensions.ts';

const SUBJECT_PREFIX = 'live.';
/**
 * Rows that surely fit one NATS message (1 MiB): an ad_id has at most 128 bytes, which JSON may double (quotes), and
 * the rest of a row has less than 180.
 */
const ROWS_MAX = 2_000;
/** As ROWS_MAX: the values of a row have at most 253 bytes, of which JSON may make six each (control characters). */
const ROLLUPS_MAX = 400;

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
  const { rows, rollups } = delta;
  for (let from = 0; from === 0 || from < rows.length; from += ROWS_MAX)
    yield { ...delta, rows: rows.slice(from, from + ROWS_MAX), rollups: [] };
  for (let from = 0; from < rollups.length; from += ROLLUPS_MAX)
    yield { ...delta, rows: [], rollups: rollups.slice(from, from + ROLLUPS_MAX) };
}

/** A delta whose parts are put together. */
type Growing = LiveDelta & { readonly rows: LiveRow[]; readonly rollups: RollupRow[] };

/** The unflushed deltas of all shards of `node`; undefined where it did not answer in time. */
export async function askLiveDeltas(
  connection: NatsConnection,
  node: string,
  request: LiveRequest,
  timeoutMs: number,
): Promise<LiveDelta[] | undefined> {
  const deltas = new Map<number, Growing>();
  try {
    const replies = await connection.requestMany(subject(node), JSON.stringify(request), {
      strategy: RequestStrategy.SentinelMsg,
      maxWait: timeoutMs,
    });
    for await (const reply of replies) {
      if (reply.data.length === 0) return [...deltas.values()];
      const part = reply.json<Growing>();
      const known = deltas.get(part.shard);
      known?.rows.push(...part.rows);
      known?.rollups.push(...part.rollups);
      if (known === undefined) deltas.set(part.shard, part);
    }
  } catch {
    // No such process, or no connection: it did not answer.
  }
  return undefined;
}
