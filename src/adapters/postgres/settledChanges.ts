/**
 * Hears, soon after the commit, which days and slots of settled counts were changed (migration 0011 tells it). What is
 * told while this is not connected is lost: it is only there to free memory.
 */
import { Client } from 'pg';
import type { Timers } from '../../domain/timers.ts';

const CHANNEL = 'settled_version';
const CONNECT_TIMEOUT_MS = 3_000;
const PAUSE_MS = 1_000;

export interface SettledChangesParts {
  readonly url: string;
  /** By which the server knows who is connected. */
  readonly name: string;
  /** @param dayMs the first millisecond of a UTC day */
  readonly changed: (dayMs: number, slot: number) => void;
  /** Hears why the connection was lost; it is made again. */
  readonly onError: (error: unknown) => void;
  readonly timers: Pick<Timers, 'pause'>;
}

/** Follows until `stop`, over a connection of its own. */
export async function followSettledChanges(parts: SettledChangesParts, stop: AbortSignal): Promise<void> {
  while (!stop.aborted) {
    await listen(parts, stop).catch((error: unknown) => {
      if (!stop.aborted) parts.onError(error);
    });
    await parts.timers.pause(PAUSE_MS, stop);
  }
}

/** Until the connection ends, or `stop`. */
async function listen({ url, name, changed }: SettledChangesParts, stop: AbortSignal): Promise<void> {
  const client = new Client({
    connectionString: url,
    application_name: `${name} changes`,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
  });
  const ended = Promise.withResolvers<void>();
  const end = () => ended.resolve();
  client.on('error', ended.reject);
  client.on('end', end);
  client.on('notification', ({ payload = '' }) => {
    const [, seconds, slot] = /^(-?\d+) (\d+)$/.exec(payload) ?? [];
    if (slot !== undefined) changed(Number(seconds) * 1_000, Number(slot));
  });
  stop.addEventListener('abort', end);
  try {
    await client.connect();
    await client.query(`listen ${CHANNEL}`);
    await ended.promise;
  } finally {
    stop.removeEventListener('abort', end);
    await client.end();
  }
}
