/**
 * Whether the connection to NATS stands. While it does not, the client keeps what is published in a buffer without a
 * bound; so whoever publishes much asks here first (I14).
 */
import { Events, type NatsConnection } from 'nats';

export class Connectivity {
  #connected = true;

  constructor(connection: NatsConnection) {
    void this.#follow(connection);
  }

  get isConnected(): boolean {
    return this.#connected;
  }

  async #follow(connection: NatsConnection): Promise<void> {
    for await (const { type } of connection.status()) {
      if (type === Events.Disconnect) this.#connected = false;
      if (type === Events.Reconnect) this.#connected = true;
    }
    this.#connected = false;
  }
}

/** Calls `heard` whenever the connection stands again after it broke: what was on its way is lost. */
export async function onReconnect(connection: NatsConnection, heard: () => void): Promise<void> {
  for await (const { type } of connection.status()) if (type === Events.Reconnect) heard();
}
