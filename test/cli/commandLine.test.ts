/** The command line as a person meets it: help, mistakes, and what is wrong before anything starts. */
import { spawnSync } from 'node:child_process';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { freePort } from '../../src/cli/stack/freePort.ts';
import { bunCommand, PROJECT_DIRECTORY } from '../../src/cli/stack/tools.ts';
import { testFolder } from './stack/testFolder.ts';

const TIMEOUT_MS = 25_000;

async function run(parts: readonly string[], environment: Record<string, string> = {}) {
  const child = Bun.spawn([...bunCommand('src/cli/main.ts'), ...parts], {
    env: { PATH: process.env['PATH'], CLICKLEDGER_DATA_DIR: await testFolder(), ...environment },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
    timeout: TIMEOUT_MS,
  });
  const [code, out, error] = await Promise.all([child.exited, child.stdout.text(), child.stderr.text()]);
  return { code, out, error };
}

test('help names the commands, on stdout', async () => {
  const { code, out } = await run(['--help']);
  expect(code).toBe(0);
  expect(out).toMatch(/^ {2}up /m);
  expect(out).toMatch(/^ {2}test /m);
});

test('a mistyped command is answered with the likely one', async () => {
  const { code, error } = await run(['upp']);
  expect(code).toBe(2);
  expect(error).toContain('(Did you mean up?)');
});

test('wrong settings end `up` before it starts anything: each is named, without a stack', async () => {
  const { code, out, error } = await run(['up'], { FLUSH_INTERVAL: '10', SHARDS: 'many' });
  expect(code).toBe(2);
  expect(out).toBe('');
  expect(error.trim().split('\n')).toEqual([
    expect.stringContaining('FLUSH_INTERVAL="10" is wrong'),
    expect.stringContaining('SHARDS="many" is wrong'),
  ]);
});

test('a port that is taken ends `up` before it starts anything, with the variable to set', async () => {
  const taken = createServer().listen(await freePort(), '127.0.0.1');
  const address = taken.address();
  const port = typeof address === 'object' && address ? String(address.port) : '';
  const { code, out, error } = await run(['up'], { CLICKLEDGER_HTTP_PORT: port });
  taken.close();
  expect(code).toBe(2);
  expect(out).toBe('');
  expect(error).toBe(`Port ${port} of 127.0.0.1 is taken. Set CLICKLEDGER_HTTP_PORT to a free one.\n`);
});

test.each(['256.1.1.1', '8.8.8.8', 'no-such-host.invalid', '2001:db8::1'])(
  'a host that is no address of this machine ends `up` with that: %s',
  async (host) => {
    const { code, out, error } = await run(['up'], {
      CLICKLEDGER_HOST: host,
      CLICKLEDGER_HTTP_PORT: String(await freePort()),
    });
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(error).toMatch(new RegExp(`^CLICKLEDGER_HOST=${host} is no address of this machine[^\n]*\n$`));
  },
);

test('a port that this user may not have ends with that, not with "taken"', () => {
  const script = `
    import { checkPorts } from ${JSON.stringify(join(PROJECT_DIRECTORY, 'src/cli/stack/preflight.ts'))};
    process.setuid?.(65_534);
    await checkPorts({ CLICKLEDGER_HTTP_PORT: '1' }).catch((error) => process.stdout.write(error.name + error.message));`;
  const [bun = ''] = bunCommand('');
  const { stdout } = spawnSync(bun, ['-e', script], { encoding: 'utf8' });
  expect(stdout).toMatch(
    /^CliErrorThis user may not listen on port 1 of 127\.0\.0\.1: .*CLICKLEDGER_HTTP_PORT to a higher/,
  );
});

test.each([
  ['a path that takes no folder', '/proc/x'],
  ['a file', '/etc/hostname'],
])(
  'a data folder that is %s ends `up` with the variable and the path, without a stack',
  async (_what, path) => {
    const { code, out, error } = await run(['up'], { CLICKLEDGER_DATA_DIR: path });
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(error).toContain(path);
    expect(error).toContain('CLICKLEDGER_DATA_DIR');
    expect(error).not.toContain('    at ');
  },
);

test.each([
  ['sh', 'clickledger'],
  ['bash', '.ci/run'],
])('%s reads %s without a mistake', (shell, file) => {
  const { status, stderr } = spawnSync(shell, ['-n', join(PROJECT_DIRECTORY, file)], { encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(status).toBe(0);
});
