/** An S3-compatible server of a test's own, with one bucket. */
import { join } from 'node:path';
import S3rver from 's3rver';
import { onTestFinished } from 'vitest';
import { testFolder } from '../cli/stack/testFolder.ts';

export const BUCKET = 'clicks';
/** The only key that s3rver knows. */
export const KEY = { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' };

/** Its address; it ends with the test. */
export async function s3ForTest(): Promise<string> {
  const server = new S3rver({
    address: '127.0.0.1',
    port: 0,
    silent: true,
    directory: join(await testFolder(), 's3'),
    configureBuckets: [{ name: BUCKET, configs: [] }],
  });
  const { port } = await server.run();
  onTestFinished(() => server.close());
  return `http://127.0.0.1:${port}`;
}
