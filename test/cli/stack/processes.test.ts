/** How many processes `up` starts, by which names and settings; and what it may share. */
import { expect, onTestFinished, test } from 'vitest';
import { freePort } from '../../../src/cli/stack/freePort.ts';
import { servicesFor } from '../../../src/cli/stack/localStack.ts';
import { claimPort } from '../../../src/cli/stack/portClaim.ts';
import { tiedCommand } from '../../../src/cli/stack/privileges.ts';
import { PROJECT_DIRECTORY } from '../../../src/cli/stack/tools.ts';

const namesAndSettings = (...parameters: Parameters<typeof servicesFor>) =>
  servicesFor(...parameters).map(({ name, settings = {} }) => [name, settings]);

test('one gateway has its ports for itself, and each process its name', () => {
  expect(namesAndSettings({ gateways: 1, actors: 1 }, {})).toEqual([
    ['gateway-1', {}],
    ['actors-1', { CLICKLEDGER_NODE: 'actors-1' }],
    ['query', {}],
    ['reconciler', {}],
  ]);
});

test('several gateways share their ports; gateways come before actors, so that they are drained before', () => {
  expect(namesAndSettings({ gateways: 2, actors: 3 }, {})).toEqual([
    ['gateway-1', { CLICKLEDGER_SHARE_PORTS: 'on' }],
    ['gateway-2', { CLICKLEDGER_SHARE_PORTS: 'on' }],
    ['actors-1', { CLICKLEDGER_NODE: 'actors-1' }],
    ['actors-2', { CLICKLEDGER_NODE: 'actors-2' }],
    ['actors-3', { CLICKLEDGER_NODE: 'actors-3' }],
    ['query', {}],
    ['reconciler', {}],
  ]);
});

test('a given node name is the only one, or what each begins with', () => {
  const nodes = (actors: number) =>
    servicesFor({ gateways: 1, actors }, { CLICKLEDGER_NODE: 'berlin' })
      .map(({ settings }) => settings?.['CLICKLEDGER_NODE'])
      .filter((name) => name !== undefined);
  expect(nodes(1)).toEqual(['berlin']);
  expect(nodes(2)).toEqual(['berlin-1', 'berlin-2']);
});

test('a shared port is claimed by one launcher, until that one is gone', async () => {
  const port = await freePort();
  const script = `import { claimPort } from '${PROJECT_DIRECTORY}/src/cli/stack/portClaim.ts';
    console.log(await claimPort(${port})); await new Promise((resolve) => setTimeout(resolve, 60_000));`;
  const other = Bun.spawn(tiedCommand([process.execPath, '-e', script], 'KILL'), {
    stdout: 'pipe',
    stdin: 'ignore',
  });
  onTestFinished(() => other.kill('SIGKILL'));
  const { value } = await other.stdout.getReader().read();
  expect(new TextDecoder().decode(value)).toBe('true\n');
  expect(await claimPort(port)).toBe(false);
  other.kill('SIGKILL');
  await other.exited;
  expect(await claimPort(port)).toBe(true);
  expect(await claimPort(port)).toBe(false);
});
