/**
 * How many people clicked, asked of a whole installation, against a plain look at the records on its streams: sets of keys
 * by ad and hour, nothing of ours but the reading of a record.
 */
import { Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  catalogClient,
  ingestClient,
  type QueryClient,
  queryClient,
} from '../../src/adapters/grpc/clients.ts';
import { decodeClickBatch, decodeClickRecord } from '../../src/adapters/nats/clickBatchCodec.ts';
import { connectNats } from '../../src/adapters/nats/connection.ts';
import type { Click } from '../../src/contract/generated/clickledger/v1/Click.ts';
import type { QueryUniquesRequest } from '../../src/contract/generated/clickledger/v1/QueryUniquesRequest.ts';
import { EXACT_PEOPLE_MAX } from '../../src/domain/people.ts';
import { Random } from '../support/random.ts';
import { Installation } from './installation.ts';
import { untilStored } from './until.ts';

const HOUR_MS = 3_600_000;
const ADS = ['tiny', 'small', 'busy'];
const CAMPAIGN_OF: Readonly<Record<string, string>> = { tiny: 'spring', small: 'spring', busy: 'autumn' };
/** Some hours on both sides of the end of a month: the last but one before this. */
const MONTH_MS = monthBefore(monthBefore(Date.now()));
const RANGE = { from_ms: MONTH_MS - 48 * HOUR_MS, to_ms: MONTH_MS + 48 * HOUR_MS };
const CLICKS_A_REQUEST = 1_000;

/** By `ad hour`, all keys of people in valid and repeat clicks. */
type Seen = Map<string, Set<string>>;

describe('people', { timeout: 180_000 }, () => {
  let installation: Installation;
  let query: QueryClient;
  let seen: Seen;

  beforeAll(async () => {
    installation = await Installation.start({ FLUSH_INTERVAL: '200ms' });
    query = queryClient(installation.queryAddress);
    const records = await sendClicks(installation);
    const pool = new Pool({ connectionString: await installation.databaseUrl() });
    await untilStored(pool, records).finally(() => pool.end());
    seen = await lookAtStreams(installation);
  }, 120_000);

  afterAll(async () => {
    query?.close();
    await installation?.remove();
  });

  test('the clicks are what the test needs: few and many people, in both months', () => {
    const of = (adId: string, first: number, last: number) =>
      peopleOf(seen, [adId], (hourMs) => hourMs >= first && hourMs < last).size;
    expect(of('tiny', RANGE.from_ms, RANGE.to_ms)).toBeGreaterThan(3);
    expect(of('small', RANGE.from_ms, MONTH_MS)).toBeLessThanOrEqual(EXACT_PEOPLE_MAX);
    expect(of('busy', MONTH_MS, RANGE.to_ms)).toBeGreaterThan(5 * EXACT_PEOPLE_MAX);
  });

  test.each([
    ['HOUR', 'UTC'],
    ['DAY', 'UTC'],
    ['MONTH', 'UTC'],
    ['DAY', 'Europe/Berlin'],
    ['DAY', 'America/New_York'],
    ['MONTH', 'America/New_York'],
    ['HOUR', 'Asia/Tokyo'],
  ] as const)('by %s in %s are those on the streams', async (granularity, timeZone) => {
    for (const asked of [{ ad_ids: ADS }, { campaign_ids: ['spring', 'autumn'] }]) {
      const request = { ...RANGE, ...asked, granularity, time_zone: timeZone } satisfies QueryUniquesRequest;
      await expectPeople(request, granularity, timeZone);
    }
  });

  /** Every row that there should be, and no other. */
  async function expectPeople(
    request: QueryUniquesRequest,
    granularity: string,
    timeZone: string,
  ): Promise<void> {
    const { rows, info } = await query.queryUniques(request);
    expect(info).toMatchObject({ partial: false });
    const bucketOf = bucketsOf(granularity, timeZone);
    const answered = new Map(
      rows.map((row) => [`${row.ad_id}${row.campaign_id} ${bucketOf(row.from_ms)}`, row] as const),
    );
    expect(answered.size).toBe(rows.length);
    const wanted = new Set<string>();
    for (const subject of request.ad_ids ?? request.campaign_ids ?? []) {
      const adIds = ADS.filter((adId) => adId === subject || CAMPAIGN_OF[adId] === subject);
      for (const bucket of new Set([...seen.keys()].map((key) => bucketOf(hourOf(key))))) {
        // Keys of two months are different even for the same person: they are added up.
        const unions = [false, true].map((isLater) =>
          peopleOf(seen, adIds, (hourMs) => bucketOf(hourMs) === bucket && hourMs >= MONTH_MS === isLater),
        );
        const some = unions.filter(({ size }) => size > 0);
        if (some.length === 0) continue;
        wanted.add(`${subject} ${bucket}`);
        const row = answered.get(`${subject} ${bucket}`);
        const people = some.reduce((sum, { size }) => sum + size, 0);
        const exact = some.every(({ size }) => size <= EXACT_PEOPLE_MAX);
        expect(row, `${subject} ${bucket}`).toMatchObject({
          method: exact ? 'EXACT' : 'HYPERLOGLOG',
          summed_unions: some.length,
        });
        const { people: found = 0, standard_error: error = 0 } = row ?? {};
        expect(Math.abs(found - people), `${subject} ${bucket}`).toBeLessThanOrEqual(5 * error * people);
      }
    }
    expect(new Set(answered.keys())).toEqual(wanted);
  }
});

/**
 * Few and many people around the end of the month, the same ones again and again; owners are killed meanwhile.
 * @returns how many clicks there were
 */
async function sendClicks(installation: Installation): Promise<number> {
  const catalog = catalogClient(installation.ingestAddress);
  const ingest = ingestClient(installation.ingestAddress, 60_000);
  try {
    await catalog.upsertAds({
      ads: ADS.map((ad_id) => ({
        ad_id,
        campaign_id: CAMPAIGN_OF[ad_id] ?? '',
        destination_url: 'https://shop.example/{ad_id}',
      })),
    });
    const random = new Random(7);
    const clicks = [
      ...Array.from({ length: 40 }, () => clickOf(random, 'tiny', 8)),
      ...Array.from({ length: 1_500 }, () => clickOf(random, 'small', 150)),
      ...Array.from({ length: 9_000 }, () => clickOf(random, 'busy', 2_500)),
    ];
    for (let first = 0; first < clicks.length; first += CLICKS_A_REQUEST) {
      const some = clicks.slice(first, first + CLICKS_A_REQUEST);
      const { results } = await ingest.batchIngestClicks({ source: 'test', clicks: some });
      expect(results.every(({ status }) => status === 'ACCEPTED')).toBe(true);
      if (first % (4 * CLICKS_A_REQUEST) === 0) await installation.kill('actors');
    }
    return clicks.length;
  } finally {
    catalog.close();
    ingest.close();
  }
}

function clickOf(random: Random, ad_id: string, people: number): Click {
  const person = random.below(people);
  const nobody = random.chance(0.05);
  return {
    ad_id,
    click_id: Bun.randomUUIDv7('hex'),
    event_time_ms: MONTH_MS + Math.floor((random.next() - 0.5) * 70 * HOUR_MS),
    ...(nobody ? {} : { user_id: `person ${person}` }),
    // Nobody of these counts.
    ...(random.chance(0.05) ? { test: true, user_id: `tester ${person}` } : {}),
  };
}

async function lookAtStreams(installation: Installation): Promise<Seen> {
  const nats = await connectNats(await installation.natsUrl(), 'test');
  const seen: Seen = new Map();
  try {
    const manager = await nats.jetstreamManager();
    for await (const { config, state } of manager.streams.list()) {
      if (!config.name.startsWith('CLICKS_')) continue;
      for (let sequence = Math.max(state.first_seq, 1); sequence <= state.last_seq; sequence++) {
        const { data } = await manager.streams.getMessage(config.name, { seq: sequence });
        for (const { bytes } of decodeClickBatch(data)?.records ?? []) {
          const click = decodeClickRecord(bytes);
          if (click === undefined || click.test || click.userKey.length === 0) continue;
          const key = `${click.adId} ${Math.floor(click.eventTimeMs / HOUR_MS) * HOUR_MS}`;
          seen.set(key, (seen.get(key) ?? new Set()).add(click.userKey.toHex()));
        }
      }
    }
  } finally {
    await nats.close();
  }
  return seen;
}

function peopleOf(seen: Seen, adIds: readonly string[], isIn: (hourMs: number) => boolean): Set<string> {
  let people = new Set<string>();
  for (const [key, keys] of seen)
    if (adIds.includes(key.split(' ')[0] ?? '') && isIn(hourOf(key))) people = people.union(keys);
  return people;
}

function hourOf(key: string): number {
  return Number(key.split(' ')[1]);
}

/** The name of the hour, day or month of a zone's calendar that holds a moment. */
function bucketsOf(granularity: string, timeZone: string): (timeMs: number) => string {
  const length = { HOUR: 13, DAY: 10, MONTH: 7 }[granularity];
  const clock = new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'short' });
  return (timeMs) => clock.format(timeMs).slice(0, length);
}

/** First moment of the month of UTC before the one that holds this moment. */
function monthBefore(timeMs: number): number {
  const date = new Date(timeMs);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() - 1);
}
