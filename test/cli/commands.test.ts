/** Commands as a shell sees them: what they print, and the exit code that scripts rely on. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isSignedBy } from '../../src/domain/signature.ts';
import { parseSigningKeys } from '../../src/domain/signingKey.ts';
import { parseUuid7 } from '../../src/domain/uuid7.ts';
import { type GatewayScript, ScriptedGateway } from './scriptedGateway.ts';

const MAIN = path.resolve(import.meta.dirname, '../../src/cli/main.ts');
const KEYS = `new:${'ab'.repeat(32)},old:${'cd'.repeat(32)}`;
const IMPRESSION = '01a201a6-dd41-7110-a31e-6469aebc18dd';

let folder = '';
let gateway: ScriptedGateway | undefined;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'clickledger-commands-'));
});

afterEach(async () => {
  gateway?.stop();
  gateway = undefined;
  await rm(folder, { recursive: true });
});

interface Result {
  readonly exitCode: number;
  readonly out: string;
  readonly error: string;
}

function start(words: readonly string[]) {
  return Bun.spawn([process.execPath, MAIN, ...words], {
    env: {
      // An instance of its own that never ran, so that one on this machine does not matter.
      CLICKLEDGER_DATA_DIR: folder,
      CLICKLEDGER_SIGNING_KEYS: KEYS,
      CLICKLEDGER_INGEST_PORT: gateway?.address.split(':')[1] ?? '1',
      CLICKLEDGER_QUERY_PORT: '1',
    },
    stdout: 'pipe',
    stderr: 'pipe',
  });
}

async function resultOf(child: ReturnType<typeof start>): Promise<Result> {
  const [out, error] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { exitCode: await child.exited, out, error };
}

const run = (...words: string[]) => resultOf(start(words));

async function clickFile(rows: number): Promise<string> {
  const filePath = path.join(folder, 'clicks.csv');
  await writeFile(filePath, `app,event_time\n${'shoes,1509984000\n'.repeat(rows)}`);
  return filePath;
}

async function importWith(script: GatewayScript, rows: number, ...words: string[]): Promise<Result> {
  gateway = await ScriptedGateway.start(script);
  return run('import', await clickFile(rows), '--map', 'ad_id=app', ...words);
}

describe('clickledger sign', () => {
  it('prints URLs that the first key signed, each of a fresh impression', async () => {
    const { exitCode, out } = await run(
      'sign',
      'an ad',
      '--count',
      '3',
      '--base-url',
      'https://go.example/c/',
    );
    expect(exitCode).toBe(0);
    const urls = out
      .trim()
      .split('\n')
      .map((line) => new URL(line));
    const parsed = parseSigningKeys(KEYS.split(',')[0] ?? '');
    const keys = parsed.kind === 'keys' ? parsed.keys : [];
    for (const { href, searchParams } of urls) {
      expect(href).toMatch(/^https:\/\/go\.example\/c\/click\?/);
      const [adId, impressionId, signature] = ['adId', 'impressionId', 'signature'].map(
        (name) => searchParams.get(name) ?? '',
      );
      expect(adId).toBe('an ad');
      expect(parseUuid7(impressionId ?? '')).toBeDefined();
      expect(isSignedBy(keys, adId ?? '', impressionId ?? '', signature ?? '')).toBe(true);
    }
    expect(new Set(urls.map(({ searchParams }) => searchParams.get('impressionId'))).size).toBe(3);
  });

  it.each([
    [['sign'], "missing required argument 'ad-id'"],
    [['sign', 'a', '--count', '2', '--impression', IMPRESSION], 'leave one of them out'],
    [['sign', 'a', '--count', '0'], 'Right is a whole number from 1'],
    [['sign', 'a', '--impression', 'b'], '--impression b is no UUIDv7'],
    [['sign', 'a', '--base-url', 'go.example'], '--base-url go.example is no URL'],
    [['sign', 'a'.repeat(129)], 'right are 1 to 128 bytes'],
  ])('%j is wrong use: %s', async (words, message) => {
    const { exitCode, out, error } = await run(...words);
    expect({ exitCode, out }).toEqual({ exitCode: 2, out: '' });
    expect(error).toContain(message);
    expect(error).not.toContain('    at ');
  });
});

describe('clickledger import', () => {
  it('ends with 0 when every row was accepted', async () => {
    const { exitCode, out } = await importWith({ checksAds: true }, 2_500, '--create-ads');
    expect(exitCode).toBe(0);
    expect(out).toMatch(/2,500 │ accepted/);
    expect(out).toContain('1 ad registered');
    expect(gateway?.taken.size).toBe(2_500);
  });

  it('ends with 1 when rows were rejected, and says why', async () => {
    const { exitCode, out } = await importWith({ checksAds: true }, 10);
    expect(exitCode).toBe(1);
    expect(out).toMatch(/10 │ rejected │ +2 │ ad_id "shoes" is not in the catalog/);
  });

  it('ends with 2 and the list of columns when a column is not there', async () => {
    const { exitCode, error } = await run('import', await clickFile(1), '--map', 'ad_id=application');
    expect(exitCode).toBe(2);
    expect(error.trim()).toBe(
      '--map ad_id=application: the file has no column application; its columns are app, event_time',
    );
  });

  it('ends with 1 when the gateway stays away, and says how to go on', async () => {
    const { exitCode, error } = await importWith({ deed: () => 14 }, 10, '--retry-for', '0s');
    expect(exitCode).toBe(1);
    expect(error).toContain('0 rows were acknowledged');
    expect(error).toContain('run the same import again');
  });

  it('stopped by Ctrl-C ends with 130 after the answers on their way', async () => {
    const answered = Promise.withResolvers<void>();
    gateway = await ScriptedGateway.start({
      beforeAnswer: async () => {
        await Bun.sleep(20);
        answered.resolve();
      },
    });
    const child = start(['import', await clickFile(20_000), '--map', 'ad_id=app', '--batch', '10']);
    await answered.promise;
    child.kill('SIGINT');
    const { exitCode, error } = await resultOf(child);
    expect(exitCode).toBe(130);
    const acknowledged = /stopped; ([\d,]+) rows were acknowledged/.exec(error)?.[1]?.replaceAll(',', '');
    expect(Number(acknowledged)).toBe(gateway.taken.size);
    expect(gateway.taken.size).toBeLessThan(20_000);
  });
});

describe('clickledger query', () => {
  it('without a query service says where it looked and what to do', async () => {
    const { exitCode, error } = await run('query', 'a', '--from', '-2h');
    expect(exitCode).toBe(2);
    expect(error).toMatch(
      /^cannot reach the query service at 127\.0\.0\.1:1: .*is `\.\/clickledger up` running\?$/m,
    );
  });
});

describe('clickledger reconcile', () => {
  it.each([
    // No ad at all would be equal to whatever the streams say.
    [['--ads', ','], "'--ads <ids>' argument ',' is invalid"],
    [['--settle', '--ads', 'shoes'], '--settle settles minutes for all ads: right is without --ads'],
  ])('with %j is wrong use, and looks for no server', async (words, said) => {
    const { exitCode, error } = await run('reconcile', ...words);
    expect(exitCode).toBe(2);
    expect(error).toContain(said);
  });
});

it('reconcile of an ad that cannot be is refused, rather than found equal', async () => {
  for (const ads of ['', 'shoes,,hats', `x${'x'.repeat(128)}`]) {
    const { exitCode, error } = await run('reconcile', '--ads', ads);
    expect(exitCode).toBe(2);
    expect(error).toContain('Right are ids of 1 to 128 bytes');
  }
});
