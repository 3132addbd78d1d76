/** What clickledger needs of the NATS server that NATS_URL names. */
import { addressOf, isAtLeast, reaching, UnfitServerError } from '../environment/unfitServer.ts';
import { connectNats } from './connection.ts';

/** @throws UnfitServerError that says what is wrong with it */
export async function checkNats(url: string): Promise<void> {
  await reaching('NATS_URL', url, async () => {
    const connection = await connectNats(url, 'check');
    try {
      const version = connection.info?.version ?? '';
      if (!isAtLeast(version, 2, 10)) {
        throw new UnfitServerError(
          `NATS_URL: nats-server at ${addressOf(url)} is ${version}, at least 2.10 is needed`,
        );
      }
      if (connection.info?.jetstream !== true) {
        throw new UnfitServerError(
          `NATS_URL: nats-server at ${addressOf(url)} runs without JetStream: start it with a jetstream block`,
        );
      }
    } finally {
      await connection.close();
    }
  });
}
