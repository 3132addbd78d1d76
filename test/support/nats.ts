/** A nats-server with JetStream of a test file's own. */
import { natsServer } from '../../src/cli/stack/natsServer.ts';
import { type OwnServer, startOwn } from './ownServer.ts';

/** Call `stop()` in `afterAll` or with `onTestFinished`; a worker that ends without it takes the server along. */
export async function startNats(): Promise<OwnServer> {
  return startOwn('nats', (directory, secret) => natsServer({ directory, token: secret }));
}
