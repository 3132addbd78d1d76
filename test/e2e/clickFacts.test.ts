/**
 * What stands on the streams of a click whose sender said little: the gateway found device, system, browser and country,
 * and nothing of the address but a key.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { catalogClient, ingestClient } from '../../src/adapters/grpc/clients.ts';
import { decodeClickBatch, decodeClickRecord } from '../../src/adapters/nats/clickBatchCodec.ts';
import { clickStream, listShards } from '../../src/adapters/nats/clickStreams.ts';
import type { Click } from '../../src/contract/generated/clickledger/v1/Click.ts';
import type { ClickRecord } from '../../src/domain/clickRecord.ts';
import { type Broker, openBroker } from '../adapters/nats/clicks.ts';
import { mmdbOf } from '../support/mmdb.ts';
import { Installation } from './installation.ts';

const IPHONE =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1';
const ADDRESS = '203.0.113.77';
const NEPAL = { country: 'NP', region: 'NP-P3' };
const PHONE = { deviceType: 'phone', os: 'iOS', browser: 'Safari' };

describe('the facts of a click', { timeout: 120_000 }, () => {
  let folder: string;
  let installation: Installation;
  let broker: Broker;

  beforeAll(async () => {
    folder = await mkdtemp(path.join(inject('testDirectory'), 'facts-'));
    const geoFile = path.join(folder, 'countries.mmdb');
    await writeFile(
      geoFile,
      mmdbOf([['203.0.113.0/24', { country: { iso_code: 'NP' }, subdivisions: [{ iso_code: 'P3' }] }]]),
    );
    installation = await Installation.start({
      CLICKLEDGER_GEO_FILE: geoFile,
      CLICKLEDGER_TRUSTED_PROXIES: '127.0.0.1',
      CLICKLEDGER_COUNTRY_HEADER: 'X-Edge-Country',
    });
    broker = await openBroker(await installation.natsUrl());
    const catalog = catalogClient(installation.ingestAddress);
    await catalog.upsertAds({ ads: [{ ad_id: 'shoes', destination_url: 'https://shop.example/' }] });
    catalog.close();
  });

  afterAll(async () => {
    await broker?.connection.close();
    await installation?.remove();
    if (folder !== undefined) await rm(folder, { recursive: true });
  });

  /** Of the click that was answered last. */
  async function lastRecord(): Promise<ClickRecord> {
    const records: ClickRecord[] = [];
    for (const shard of await listShards(broker.manager)) {
      const { state } = await broker.manager.streams.info(clickStream(shard));
      for (let seq = Math.max(1, state.first_seq); seq <= state.last_seq; seq += 1) {
        const { data } = await broker.manager.streams.getMessage(clickStream(shard), { seq });
        for (const { bytes } of decodeClickBatch(data)?.records ?? [])
          records.push(decodeClickRecord(bytes) ?? expect.unreachable('a record cannot be read'));
        expect(Buffer.from(data).includes(ADDRESS)).toBe(false);
      }
    }
    const last = records.toSorted((one, other) => one.receivedMs - other.receivedMs).at(-1);
    return last ?? expect.unreachable('there is no record');
  }

  async function follow(headers: Record<string, string>): Promise<ClickRecord> {
    const { output } = await installation.run('sign', 'shoes', '--base-url', installation.httpUrl);
    const response = await fetch(output.trim(), { redirect: 'manual', headers });
    expect(response.status).toBe(302);
    return lastRecord();
  }

  async function report(click: Click): Promise<ClickRecord> {
    const client = ingestClient(installation.ingestAddress);
    try {
      const { results } = await client.batchIngestClicks({
        source: 'test',
        clicks: [{ click_id: Bun.randomUUIDv7(), ad_id: 'shoes', ...click }],
      });
      expect(results).toMatchObject([{ status: 'ACCEPTED' }]);
      return await lastRecord();
    } finally {
      client.close();
    }
  }

  test('over HTTP: by user agent, and by the address behind a trusted proxy', async () => {
    const forwarded = { 'user-agent': IPHONE, 'x-forwarded-for': `198.51.100.1, ${ADDRESS}` };
    expect(await follow(forwarded)).toMatchObject({ channel: 'HTTP', ...PHONE, ...NEPAL });
    const edge = { ...forwarded, 'x-edge-country': 'de' };
    expect(await follow(edge)).toMatchObject({ channel: 'HTTP', ...PHONE, country: 'DE', region: '' });
  });

  test.each([
    ['a plain click', {}],
    ['one that goes by the library', { attributes: { campaign: 'autumn' } }],
  ])('over gRPC: %s is filled in where it says nothing', async (_what, more) => {
    const click = { ip: ADDRESS, user_agent: IPHONE, ...more };
    expect(await report(click)).toMatchObject({ channel: 'GRPC', ...PHONE, ...NEPAL });
    expect(await report({ ...click, os: 'iPadOS', country: 'DE' })).toMatchObject({
      ...PHONE,
      os: 'iPadOS',
      country: 'DE',
      region: '',
    });
  });
});
