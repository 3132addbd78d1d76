/** An archive in a bucket is the same archive: to an S3 server and back, byte by byte, and no secret in what it says. */
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { ArchiveBucket } from '../../../src/adapters/s3/archiveBucket.ts';
import { ArchivedStreams } from '../../../src/archive/archivedStreams.ts';
import { verifyArchive } from '../../../src/archive/verifyArchive.ts';
import { streamFolder } from '../../../src/domain/archivedSegment.ts';
import { Archiver, FORMAT, HOUR_MS, seen } from '../../archive/archiver.ts';
import { testFolder } from '../../cli/stack/testFolder.ts';
import { SHARD } from '../../support/agingStream.ts';
import { BUCKET, KEY, s3ForTest } from '../../support/s3Server.ts';

async function bucketForTest(prefix: string, changes: object = {}): Promise<ArchiveBucket> {
  const endpoint = await s3ForTest();
  const access = { bucket: BUCKET, prefix, endpoint, region: 'us-east-1', ...KEY, ...changes };
  return new ArchiveBucket(access);
}

describe('an archive in a bucket', () => {
  let archiver: Archiver;

  beforeAll(async () => {
    archiver = await Archiver.make();
    archiver.publish(70, HOUR_MS);
  });

  test('gives back the stream, also where that has lost its beginning', async () => {
    vi.stubEnv('TMPDIR', await testFolder());
    onTestFinished(() => void vi.unstubAllEnvs());
    const bucket = await bucketForTest('some/where/');
    expect(await archiver.run(bucket)).toMatchObject({
      segments: 69,
      messagesRemoved: 22,
      shardsTroubled: [],
    });
    const streams = new ArchivedStreams(archiver.stream, bucket, FORMAT);
    const read = [];
    const { signal } = new AbortController();
    for await (const message of streams.read(SHARD, archiver.stream.incarnation, 1, signal, 70))
      read.push(message);
    expect(seen(read)).toEqual(seen(archiver.stream.all));
    expect(await verifyArchive(bucket, () => undefined, signal)).toMatchObject({ files: 69, damages: [] });
    const [folder = ''] = await readdir(tmpdir());
    expect(await readdir(join(tmpdir(), folder))).toEqual([]);
  });

  test('names an object that is gone or not what it was', async () => {
    const bucket = await bucketForTest('');
    archiver.stream.firstSequence = 1;
    await archiver.run(bucket);
    const name = `${streamFolder(SHARD, archiver.stream.incarnation)}/hour=2025-06-15T14_3-3.parquet`;
    await bucket.writeText(name, 'something else');
    const { signal } = new AbortController();
    const { damages } = await verifyArchive(bucket, () => undefined, signal);
    expect(damages).toEqual([
      expect.stringContaining(`s3://clicks/${name} with messages 3 to 3 of shard 0 is damaged`),
    ]);
  });
});

test('the names below the prefix that end so are listed, without it', async () => {
  const bucket = await bucketForTest('p/');
  for (const name of ['shard=10/a/manifest.json', 'shard=1/b/manifest.json', 'shard=1/b/x', 'manifest.json'])
    await bucket.writeText(name, '{}');
  expect(await bucket.list('/manifest.json')).toEqual([
    'shard=1/b/manifest.json',
    'shard=10/a/manifest.json',
  ]);
});

test('a file of many megabytes goes there and back', async () => {
  const bucket = await bucketForTest('');
  const bytes = crypto.getRandomValues(new Uint8Array(65_536));
  const path = await bucket.newFile();
  await Bun.write(path, Buffer.concat(Array(400).fill(bytes)));
  const { size } = Bun.file(path);
  const sha256 = new Bun.CryptoHasher('sha256').update(await Bun.file(path).bytes()).digest('hex');
  await bucket.keep(path, 'large');
  const back = await bucket.fetch('large');
  expect([back?.bytes, back?.sha256]).toEqual([size, sha256]);
  await back?.release();
  expect(await bucket.fetch('absent')).toBe(undefined);
  expect(await bucket.readText('absent')).toBe(undefined);
});

test('a refusal names the bucket and what was asked, and no key', async () => {
  const bucket = await bucketForTest('', { accessKeyId: 'another', secretAccessKey: 'very-secret' });
  const error = await bucket.writeText('x', '').catch(String);
  expect(error).toContain('s3://clicks refused to write x: InvalidAccessKeyId');
  expect(error).not.toMatch(/very-secret|another/);
  const gone = new ArchiveBucket({
    bucket: 'b',
    prefix: '',
    endpoint: 'http://127.0.0.1:1',
    region: 'r',
    ...KEY,
  });
  await expect(gone.writeText('x', '')).rejects.toThrow(/^s3:\/\/b refused to write x: ConnectionRefused/);
});
