/** `up` with several gateways and actors processes: all of them work, and losing one loses no click. */
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { credentials } from '@grpc/grpc-js';
import { Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { catalogClient } from '../../src/adapters/grpc/clients.ts';
import { ClickIngestService } from '../../src/adapters/grpc/contract.ts';
import type { BatchIngestClicksResponse__Output as Answer } from '../../src/contract/generated/clickledger/v1/BatchIngestClicksResponse.ts';
import { Counts } from './counts.ts';
import { Installation } from './installation.ts';
import { until } from './until.ts';

const DAY_MS = 86_400_000;
const BOTH = ['--gateways', '2', '--actors', '2'];
/** That so many connections all come to one of two processes happens once in 2^63. */
const CONNECTIONS_MAX = 64;
const CLICKS_A_REQUEST = 10;

describe('several of each', { timeout: 180_000 }, () => {
  let installation: Installation;
  let counts: Counts;
  let fromMs: number;
  let sent = 0;

  beforeAll(async () => {
    installation = await Installation.start({ PUBLISH_TIMEOUT: '300ms' }, ...BOTH);
    counts = new Counts(installation);
    fromMs = Math.floor(Date.now() / DAY_MS - 1) * DAY_MS;
    const catalog = catalogClient(installation.ingestAddress);
    await catalog.upsertAds({ ads: [{ ad_id: 'many', destination_url: 'https://shop.example/many' }] });
    catalog.close();
  });

  afterAll(async () => {
    counts?.close();
    await installation?.remove();
  });

  /** New clicks over a connection of their own; again with the same ids where that one breaks. */
  async function send(): Promise<void> {
    const clicks = Array.from({ length: CLICKS_A_REQUEST }, () => ({
      click_id: Bun.randomUUIDv7(),
      ad_id: 'many',
    }));
    let answer: Answer | undefined;
    while (answer === undefined) answer = await sendOnce({ source: 'test', clicks }).catch(() => undefined);
    expect(answer.results.every(({ status }) => status === 'ACCEPTED')).toBe(true);
    sent += CLICKS_A_REQUEST;
  }

  function sendOnce(request: object): Promise<Answer | undefined> {
    const client = new ClickIngestService(installation.ingestAddress, credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
    });
    return new Promise<Answer | undefined>((resolve, reject) => {
      client.batchIngestClicks(request, { deadline: Date.now() + 10_000 }, (error, answer) =>
        error === null ? resolve(answer) : reject(error),
      );
    }).finally(() => client.close());
  }

  async function everythingIsCounted(): Promise<void> {
    await counts.settled('many', Date.now());
    const totals = await counts.totals(['many'], fromMs, fromMs + 3 * DAY_MS);
    expect(totals).toMatchObject({ clicks: sent, gross_clicks: sent, repeat_clicks: 0 });
  }

  /** What is in a gateway's spool; the second's is in a folder of the first's. */
  async function spoolBytes(...folder: string[]): Promise<number> {
    const directory = path.join(installation.directory, 'spool', ...folder);
    const names = (await readdir(directory)).filter((name) => name.endsWith('.spool'));
    const sizes = await Promise.all(names.map(async (name) => (await stat(path.join(directory, name))).size));
    return sizes.reduce((sum, size) => sum + size, 0);
  }

  /** As one of the gateways says it. */
  async function bytesHeld(): Promise<number> {
    const answer = await fetch(`${installation.httpUrl}/readyz`, { headers: { connection: 'close' } });
    const { spool_bytes } = (await answer.json()) as { spool_bytes: number };
    return spool_bytes;
  }

  test('both actors processes own shards; one and a gateway are killed under load, and everything is counted', async () => {
    const pool = new Pool({ connectionString: await installation.databaseUrl() });
    const owners = async () => {
      const { rows } = await pool.query<{ owner: string }>(
        'select distinct owner from shard where lease_until >= clock_timestamp() order by owner',
      );
      return rows.map(({ owner }) => owner);
    };
    await until('both own shards', async () => (await owners()).join(' ') === 'actors-1 actors-2');
    await pool.end();
    for (let batch = 0; batch < 20; batch++) await send();
    await Promise.all([installation.killOne('actors-2'), installation.killOne('gateway-2')]);
    for (let batch = 0; batch < 20; batch++) await send();
    await everythingIsCounted();
    await until('both run again', async () =>
      ['actors-2 ready again', 'gateway-2 ready again'].every((line) => installation.output.includes(line)),
    );
  });

  test('two gateways with clicks in their spools are killed; one started alone sends what both had', async () => {
    await installation.pause('nats-server');
    let spools: number[] = [];
    const areFilledApart = () => spools[0] !== spools[1] && !spools.includes(0);
    for (let batch = 0; batch < CONNECTIONS_MAX && !areFilledApart(); batch++) {
      await send();
      spools = await Promise.all([spoolBytes(), spoolBytes('2')]);
    }
    expect(areFilledApart()).toBe(true);
    // Over HTTP both answer as well: each says what its own spool holds.
    const held = await Promise.all(Array.from({ length: CONNECTIONS_MAX }, bytesHeld));
    expect(new Set(held)).toEqual(new Set(spools));
    await installation.killAll();

    await installation.up();
    await until('the spools are empty', async () => (await spoolBytes()) + (await spoolBytes('2')) === 0);
    await everythingIsCounted();
  });

  test('that all is flushed is said once, when both actors processes have ended', async () => {
    await installation.stop();
    await installation.up(...BOTH);
    await send();
    expect(await installation.stop()).toBe(0);
    expect(installation.output.match(/drained: all accepted clicks are flushed/g)).toHaveLength(1);
  });
});
