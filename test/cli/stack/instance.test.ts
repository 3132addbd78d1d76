/** The data folder: one launcher at a time, secrets that stay, endpoints that say no more than is true. */
import { chmod, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CliError } from '../../../src/cli/cliError.ts';
import { dataDirectory, Instance, instanceEnvironment } from '../../../src/cli/stack/instance.ts';
import { identify, isRunning } from '../../../src/cli/stack/processIdentity.ts';
import { bunCommand, PROJECT_DIRECTORY } from '../../../src/cli/stack/tools.ts';
import { parseSigningKeys } from '../../../src/domain/signingKey.ts';
import { testFolder } from './testFolder.ts';

const GIVEN = { DATABASE_URL: 'postgres://given/clickledger' };

/** A launcher that never ends by itself, with the lock of `folder` once it has said so. */
async function holder(folder: string): Promise<Bun.Subprocess<'ignore', 'pipe', 'inherit'>> {
  const script = `
    import { Instance } from ${JSON.stringify(join(PROJECT_DIRECTORY, 'src/cli/stack/instance.ts'))};
    const instance = await Instance.open(${JSON.stringify(folder)});
    instance.publish({ NATS_URL: 'nats://there:1' });
    process.stdout.write('held');
    setInterval(() => instance, 60_000);`;
  const [bun = ''] = bunCommand('');
  const child = Bun.spawn(['setpriv', '--pdeathsig', 'KILL', bun, '-e', script], {
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'inherit',
  });
  await child.stdout.getReader().read();
  return child;
}

test('a second launcher on the same folder is told the folder and the process that has it', async () => {
  const folder = await testFolder();
  const first = await holder(folder);
  const second = Instance.open(folder);
  await expect(second).rejects.toThrow(folder);
  await expect(second).rejects.toThrow(`process ${first.pid}`);
  first.kill('SIGKILL');
  await first.exited;
});

test('the lock of a launcher that was killed is free, and its endpoints count no more', async () => {
  const folder = await testFolder();
  const first = await holder(folder);
  expect(instanceEnvironment(folder, {})['NATS_URL']).toBe('nats://there:1');
  first.kill('SIGKILL');
  await first.exited;
  expect(instanceEnvironment(folder, {})['NATS_URL']).toBeUndefined();
  const second = await Instance.open(folder);
  second.close();
});

test('of many launchers that start at once, one gets the folder', async () => {
  const folder = await testFolder();
  const opened = await Promise.allSettled(Array.from({ length: 8 }, () => Instance.open(folder)));
  const winners = opened.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  expect(winners).toHaveLength(1);
  winners[0]?.close();
});

test('a process number that was given to another process is not taken for the first one', async () => {
  const own = identify(process.pid);
  expect(isRunning(own)).toBe(true);
  expect(isRunning({ ...own, startedAt: `${own.startedAt}0` })).toBe(false);
  // Endpoints that a launcher with this number left behind, before this process was given it.
  const folder = await testFolder();
  const left = { launcher: { pid: process.pid, startedAt: 'earlier/1' }, environment: GIVEN };
  await writeFile(join(folder, 'endpoints.json'), JSON.stringify(left));
  expect(instanceEnvironment(folder, {})).toEqual({});
});

test('a child of a killed launcher that does not end is ended before the next start', async () => {
  const folder = await testFolder();
  const child = Bun.spawn(['sleep', '600']);
  await writeFile(join(folder, 'processes.json'), JSON.stringify({ nats: identify(child.pid) }));
  const instance = await Instance.open(folder, 100);
  await child.exited;
  expect(child.signalCode).toBe('SIGKILL');
  instance.close();
});

test('keys are made once, kept for the owner alone, and stay readable when the instance is stopped', async () => {
  const folder = await testFolder();
  const first = await Instance.open(folder);
  expect(parseSigningKeys(first.secrets.signingKeys).kind).toBe('keys');
  first.publish(GIVEN);
  for (const name of ['secrets.json', 'endpoints.json']) {
    expect((await stat(join(folder, name))).mode & 0o777).toBe(0o600);
  }
  const { signingKeys, userKeySalt } = first.secrets;
  const keys = { CLICKLEDGER_SIGNING_KEYS: signingKeys, CLICKLEDGER_USER_KEY_SALT: userKeySalt };
  expect(instanceEnvironment(folder, {})).toEqual({ ...keys, ...GIVEN });
  first.close();
  expect(instanceEnvironment(folder, {})).toEqual(keys);
  const second = await Instance.open(folder);
  expect(second.secrets).toEqual(first.secrets);
  second.close();
});

test("what the caller's environment says counts more than the instance, unless it is empty", async () => {
  const folder = await testFolder();
  const instance = await Instance.open(folder);
  instance.publish(GIVEN);
  const environment = { DATABASE_URL: 'postgres://own/clickledger', CLICKLEDGER_SIGNING_KEYS: '' };
  expect(instanceEnvironment(folder, environment)).toMatchObject({
    DATABASE_URL: 'postgres://own/clickledger',
    CLICKLEDGER_SIGNING_KEYS: instance.secrets.signingKeys,
  });
  instance.close();
});

test('a file of the instance that is damaged is named', async () => {
  const folder = await testFolder();
  await writeFile(join(folder, 'secrets.json'), '{"signingKeys": "k1:');
  await expect(Instance.open(folder)).rejects.toThrow(join(folder, 'secrets.json'));
  await chmod(folder, 0o755);
  expect(await readFile(join(folder, 'secrets.json'), 'utf8')).toBe('{"signingKeys": "k1:');
});

test.each([
  ['below a file system that takes no folders', '/proc/x', 'no folder can be made there'],
  ['a file', '/etc/hostname', 'there is a file in its place'],
  ['below a file', '/etc/hostname/x', 'there is a file in its place'],
  ['a folder that takes no files', '/proc', 'cannot be used: '],
])('a data folder that is %s is refused with the variable, the path and why', async (_what, path, why) => {
  const error: unknown = await Instance.open(path).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(CliError);
  for (const piece of [`The data folder ${path} cannot`, why, 'CLICKLEDGER_DATA_DIR'])
    expect(String(error)).toContain(piece);
});

test('a data folder that this user may not write is refused', async () => {
  const folder = await testFolder(0o755);
  const script = `
    import { Instance } from ${JSON.stringify(join(PROJECT_DIRECTORY, 'src/cli/stack/instance.ts'))};
    process.setuid?.(65_534);
    await Instance.open(process.env.FOLDER).catch((error) => process.stdout.write(error.name + error.message));`;
  await chmod(folder, 0o555);
  const [bun = ''] = bunCommand('');
  const child = Bun.spawn([bun, '-e', script], {
    env: { FOLDER: folder },
    stdout: 'pipe',
  });
  expect(await child.stdout.text()).toMatch(
    /^CliErrorThe data folder .* cannot be used: this user may not write there/,
  );
});

test('a data folder that is a file is named by commands that only read it, too', () => {
  expect(() => instanceEnvironment('/etc/hostname', {})).toThrow('CLICKLEDGER_DATA_DIR');
});

test("a given data folder counts from the current folder, the default from the project's", () => {
  expect(dataDirectory({})).toBe(join(PROJECT_DIRECTORY, '.data'));
  expect(dataDirectory({ CLICKLEDGER_DATA_DIR: 'there' })).toBe(join(process.cwd(), 'there'));
  expect(dataDirectory({ CLICKLEDGER_DATA_DIR: '/there' })).toBe('/there');
});
