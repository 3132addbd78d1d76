/** The connection to NATS that a process shares among its streams, readers and publishers. */
import { connect, type NatsConnection } from 'nats';

/** Messages waiting for the broker are the callers' to bound; the client itself keeps trying for ever. */
const RECONNECT_WAIT_MS = 250;
const CONNECT_TIMEOUT_MS = 10_000;
/** A connection over which nothing comes back any more is replaced after three of these. */
const PING_MS = 2_000;
const PINGS_UNANSWERED_MAX = 2;

/** @param url `nats://[token@]host:port`, or `tls://…` for an encrypted connection */
export async function connectNats(url: string, name: string): Promise<NatsConnection> {
  const { protocol, host, username, password } = new URL(url);
  const login = password === '' ? { token: username } : { user: username, pass: password };
  return connect({
    servers: host,
    ...(username === '' ? {} : login),
    ...(protocol === 'tls:' ? { tls: {} } : {}),
    name,
    timeout: CONNECT_TIMEOUT_MS,
    maxReconnectAttempts: -1,
    reconnectTimeWait: RECONNECT_WAIT_MS,
    pingInterval: PING_MS,
    maxPingOut: PINGS_UNANSWERED_MAX,
    // An asynchronous stack trace for each request halves the publish rate.
    noAsyncTraces: true,
  });
}
