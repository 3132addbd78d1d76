/** Announces changed ads, so that gateways drop what they remember of them. */
import type { NatsConnection } from 'nats';

const SUBJECT = 'catalog.changed';

export function announceAds(connection: NatsConnection, adIds: readonly string[]): void {
  connection.publish(SUBJECT, JSON.stringify(adIds));
}

export function onAdsChanged(connection: NatsConnection, forget: (adIds: readonly string[]) => void): void {
  connection.subscribe(SUBJECT, {
    callback: (error, message) => {
      if (error !== null) return;
      let adIds: string[];
      try {
        adIds = message.json<string[]>();
      } catch {
        // No announcement of ours. Thrown from here it would end the client's reading loop for good.
        return;
      }
      forget(adIds);
    },
  });
}
