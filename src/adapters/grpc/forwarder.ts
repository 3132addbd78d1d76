/**
 * Hands the unary calls of a service on to another server as they are: bytes, metadata, deadline, cancelling and status
 * go through, nothing is decoded.
 */
import {
  type ChannelOptions,
  Client,
  credentials,
  type handleUnaryCall,
  Metadata,
  type ServiceDefinition,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { callError } from '../../contract/callErrors.ts';
import { systemClock } from '../system/clock.ts';
import { isConnectionTrouble } from './callError.ts';

const CHANNEL_OPTIONS: ChannelOptions = {
  // The default waits up to two minutes before it tries a server again that was restarted.
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1_000,
  'grpc.max_receive_message_length': 64 * 1024 * 1024,
};

export interface Forwarder {
  /** The service without its messages: what comes in goes out. */
  readonly definition: ServiceDefinition;
  readonly handlers: UntypedServiceImplementation;
  /** Whether the other server can be reached within this time. */
  reaches(timeoutMs: number): Promise<boolean>;
  close(): void;
}

/**
 * @param address `host:port` of the other server
 * @param away what callers are told while it cannot be reached
 */
export function forwardTo(address: string, service: ServiceDefinition, away: string): Forwarder {
  const client = new Client(address, credentials.createInsecure(), CHANNEL_OPTIONS);
  const methods = Object.entries(service).map(([name, method]) => [
    name,
    {
      ...method,
      requestDeserialize: same,
      requestSerialize: same,
      responseSerialize: same,
      responseDeserialize: same,
    },
  ]);
  const handlers = Object.entries(service).map(([name, { path }]) => [name, forward(client, path, away)]);
  return {
    definition: Object.fromEntries(methods),
    handlers: Object.fromEntries(handlers),
    reaches: (timeoutMs) =>
      new Promise((resolve) =>
        client.waitForReady(systemClock() + timeoutMs, (error) => resolve(error === undefined)),
      ),
    close: () => client.close(),
  };
}

function forward(client: Client, path: string, away: string): handleUnaryCall<Buffer, Buffer> {
  return (call, callback) => {
    let reply: () => void = () => undefined;
    let trailer = new Metadata();
    const forwarded = client.makeUnaryRequest(
      path,
      same,
      same,
      call.request,
      call.metadata,
      { deadline: call.getDeadline() },
      (error, answer) => {
        reply = () => {
          if (error === null) callback(null, answer, trailer);
          else if (isConnectionTrouble(error)) callback(callError(status.UNAVAILABLE, away));
          else callback({ code: error.code, details: error.details, metadata: error.metadata });
        };
      },
    );
    forwarded.on('metadata', (metadata: Metadata) => call.sendMetadata(metadata));
    // The last that comes, after the answer or the error.
    forwarded.on('status', ({ metadata }) => {
      trailer = metadata;
      reply();
    });
    call.on('cancelled', () => forwarded.cancel());
  };
}

function same(bytes: Buffer): Buffer {
  return bytes;
}
