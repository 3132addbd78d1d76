/** A client in another language ingests and queries: what the .proto files promise is what the ports do. */
import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { credentials, loadPackageDefinition, status } from '@grpc/grpc-js';
import { service as healthService } from 'grpc-health-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Installation } from './installation.ts';

/** Debian's, where its gRPC packages are; another Python may come first on the PATH. */
const PYTHON = '/usr/bin/python3';
const PROTO = path.resolve(import.meta.dirname, '../../proto');
const run = promisify(execFile);

describe('a foreign client', { timeout: 120_000 }, () => {
  let installation: Installation;

  beforeAll(async () => {
    installation = await Installation.start();
  });

  afterAll(async () => {
    await installation?.remove();
  });

  test('ingests over all three methods, with gzip, and reads exact counts', async () => {
    const stubs = path.join(installation.directory, 'stubs');
    await mkdir(stubs);
    const files = ['click', 'ingest', 'catalog', 'query', 'audit'].map(
      (name) => `clickledger/v1/${name}.proto`,
    );
    await run('protoc', [
      `-I${PROTO}`,
      '--plugin=protoc-gen-grpc_python=/usr/bin/grpc_python_plugin',
      `--python_out=${stubs}`,
      `--grpc_python_out=${stubs}`,
      ...files,
    ]);
    const script = path.join(import.meta.dirname, 'foreign_client.py');
    const { stdout } = await run(PYTHON, [
      script,
      stubs,
      installation.ingestAddress,
      installation.queryAddress,
    ]);
    const answers = JSON.parse(stdout);

    expect(answers.created).toBe(1);
    expect(answers.destination).toBe('https://shop.example/python');
    const statuses = answers.batch.map(({ status }: { status: string }) => status);
    expect(statuses).toEqual([
      'ACCEPTED',
      'ACCEPTED',
      'REJECTED',
      'REJECTED',
      'ACCEPTED',
      'ACCEPTED',
      'ACCEPTED',
      'ACCEPTED',
      'ACCEPTED',
    ]);
    expect(answers.batch[2].reason).toBe('click_id "not-a-uuid" is wrong: it must be a UUIDv7');
    expect(answers.batch[3].reason).toContain('ad_id "nobody\'s ad" is wrong');
    expect(answers.one).toMatchObject({ status: 'ACCEPTED', reason: '' });
    expect(answers.one.sequence).toBeGreaterThan(0);
    expect(answers.stream).toEqual(Array.from({ length: 40 }, (_, index) => index + 1));
    expect(answers['wrong query']).toEqual([
      'INVALID_ARGUMENT',
      expect.stringContaining('from_ms 1 is wrong'),
    ]);
    // 1 of the click sent twice, 1 of the impression, 1 alone, 820 over the stream.
    expect(answers.counted).toEqual({
      clicks: 823,
      repeat_clicks: 1,
      general_invalid_clicks: 1,
      gross_clicks: 825,
      test_clicks: 1,
      repeat_rate: 1 / 825,
      invalid_rate: 1 / 825,
      defective_clicks: 1,
    });
    expect(answers['sent twice']).toEqual([
      ['VALID', ''],
      ['DUPLICATE', 'same_click'],
    ]);
    expect(answers['by receipt']).toEqual([['REPEAT', 'same_impression']]);
    expect(answers).toMatchObject({ repeats: true, verdict: 'EQUAL', proven: true });
    expect(answers['wrong audit']).toEqual([
      'INVALID_ARGUMENT',
      expect.stringContaining('minute_ms "1" is wrong'),
    ]);
  });

  test.each([
    ['ingest', 'clickledger.v1.ClickIngestService'],
    ['query', 'clickledger.v1.ClickQueryService'],
    ['query', 'clickledger.v1.AuditService'],
    ['audit', 'clickledger.v1.AuditService'],
  ] as const)('the standard health service answers on the %s port for %s', async (port, serviceName) => {
    const { Health } = loadPackageDefinition({ Health: healthService });
    if (typeof Health !== 'function') throw new Error('no client of the health service');
    const address = installation[`${port}Address`];
    const client = new Health(address, credentials.createInsecure());
    const check = (service: string) =>
      new Promise((resolve) => {
        client['Check']?.({ service }, (error: unknown, answer: unknown) => resolve(error ?? answer));
      });
    expect(await check('')).toMatchObject({ status: 'SERVING' });
    expect(await check(serviceName)).toMatchObject({ status: 'SERVING' });
    expect(await check('clickledger.v1.Nothing')).toMatchObject({ code: status.NOT_FOUND });
    client.close();
  });
});
