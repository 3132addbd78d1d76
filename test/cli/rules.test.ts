/** `clickledger rules` on a real NATS: what it shows, and that what is adopted judges clicks from there on. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RoutingLog } from '../../src/adapters/nats/routingLog.ts';
import { prepareTopology } from '../../src/adapters/nats/topology.ts';
import { bunCommand } from '../../src/cli/stack/tools.ts';
import { type Broker, openBroker } from '../adapters/nats/clicks.ts';
import { factsOf, NOON_MS, RULES, uuid7At } from '../support/clicks.ts';
import { startNats } from '../support/nats.ts';
import type { OwnServer } from '../support/ownServer.ts';
import { testFolder } from './stack/testFolder.ts';

let server: OwnServer;
let broker: Broker;

beforeAll(async () => {
  server = await startNats();
  broker = await openBroker(server.url);
  await prepareTopology(broker.connection, { shards: 1, rules: RULES });
  const routing = new RoutingLog(broker.client, broker.manager);
  await routing.read();
  await routing.append({ kind: 'closed_until', untilMs: NOON_MS });
});
afterAll(async () => {
  await broker.connection.close();
  await server.stop();
});

async function run(...words: string[]) {
  const child = Bun.spawn([...bunCommand('src/cli/main.ts'), 'rules', ...words], {
    env: {
      CLICKLEDGER_DATA_DIR: await testFolder(),
      NATS_URL: server.url,
      DATABASE_URL: 'postgres://127.0.0.1:1/not-used',
    },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  });
  const [code, out, error] = await Promise.all([child.exited, child.stdout.text(), child.stderr.text()]);
  return { code, out, error };
}

test('an adopted rule set judges clicks from closed_until on, is shown, and is adopted once', async () => {
  expect((await run('list')).out).toMatch(
    / 1 {2}isbot 5\.2\.3 +the first *\n.* 2 .*crawler-user-agents .* –/,
  );
  expect(await run('adopt', '2')).toEqual({
    code: 0,
    out: 'clicks made from 2025-06-15 12:00:00 UTC on are judged by rule set 2\n',
    error: '',
  });
  expect((await run('adopt', '2')).out).toContain('already');
  expect((await run('list')).out).toContain('2025-06-15 12:00:00');
  const routing = new RoutingLog(broker.client, broker.manager);
  await routing.read();
  expect(routing.table.adoptedRules).toEqual([{ version: 2, fromMs: NOON_MS }]);
  const versions = [NOON_MS - 1, NOON_MS].map(
    (clickMs) => routing.table.rulesOf(factsOf({ clickId: uuid7At(clickMs) })).version,
  );
  expect(versions).toEqual([1, 2]);
});

test('a rule set that is not known is refused with those that are', async () => {
  const { code, error } = await run('adopt', '7');
  expect(code).toBe(2);
  expect(error).toContain('rule set "7" is not known: right is one of 1, 2');
});
