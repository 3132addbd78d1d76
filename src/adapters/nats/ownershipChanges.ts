/** Announces that shards or actors processes came or went, so that the others look at once (I16). */
import type { NatsConnection } from 'nats';

const SUBJECT = 'actors.changed';

export function announceChange(connection: NatsConnection, node: string): void {
  connection.publish(SUBJECT, node);
}

/** Calls `heard` for what others than `node` announce. */
export function onOwnershipChange(connection: NatsConnection, node: string, heard: () => void): void {
  connection.subscribe(SUBJECT, {
    callback: (error, message) => {
      if (error === null && message.string() !== node) heard();
    },
  });
}
