/** How gateways tell each other, and whoever watches, about once a second which ads get the most clicks. */
import type { NatsConnection } from 'nats';
import * as z from 'zod';
import type { RateAnnouncement } from '../../domain/announcedRates.ts';
import { ANNOUNCED_ADS_MAX } from '../../domain/clickRates.ts';
import type { Connectivity } from './connectivity.ts';

const SUBJECT = 'ads.rates';

const rate = z.number().nonnegative();
const schema: z.ZodType<RateAnnouncement> = z.object({
  gateway: z.string(),
  hotAdRate: rate,
  rates: z.array(z.tuple([z.string(), rate])).max(ANNOUNCED_ADS_MAX),
});

/** Says nothing while there is no connection: the client would keep it all (I14), and it would be old. */
export function announceRates(
  connection: NatsConnection,
  { isConnected }: Pick<Connectivity, 'isConnected'>,
  announcement: RateAnnouncement,
): void {
  if (isConnected && !connection.isClosed()) connection.publish(SUBJECT, JSON.stringify(announcement));
}

/** Also hears what this process announces. */
export function onRates(connection: NatsConnection, heard: (announcement: RateAnnouncement) => void): void {
  connection.subscribe(SUBJECT, {
    callback: (error, message) => {
      if (error !== null) return;
      let announcement: RateAnnouncement;
      try {
        announcement = schema.parse(message.json());
      } catch {
        // No announcement of ours. Thrown from here it would end the client's reading loop for good.
        return;
      }
      heard(announcement);
    },
  });
}
