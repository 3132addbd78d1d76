/** What processes tell each other over plain NATS: unflushed deltas on request, changed ads, changes of ownership. */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { announceRates, onRates } from '../../../src/adapters/nats/adRates.ts';
import { announceAds, onAdsChanged } from '../../../src/adapters/nats/catalogChanges.ts';
import { askLiveDeltas, serveLiveDeltas } from '../../../src/adapters/nats/liveDeltas.ts';
import { announceChange, onOwnershipChange } from '../../../src/adapters/nats/ownershipChanges.ts';
import type { LiveDelta, LiveRequest, LiveRow } from '../../../src/domain/aggregates.ts';
import type { RateAnnouncement } from '../../../src/domain/announcedRates.ts';
import { ANNOUNCED_ADS_MAX } from '../../../src/domain/clickRates.ts';
import type { RollupRow } from '../../../src/domain/dimensions.ts';
import { AD_ID_BYTES_MAX } from '../../../src/domain/limits.ts';
import { startNats } from '../../support/nats.ts';
import type { OwnServer } from '../../support/ownServer.ts';
import { type Broker, openBroker } from './clicks.ts';

let server: OwnServer;
let owner: Broker;
let asker: Broker;

beforeAll(async () => {
  server = await startNats();
  [owner, asker] = [await openBroker(server.url), await openBroker(server.url)];
});
afterAll(async () => {
  await Promise.all([owner.connection.close(), asker.connection.close()]);
  await server.stop();
});

const REQUEST: LiveRequest = { adIds: ['ad', 'ad "2"'], fromMs: 60_000, toMs: 180_000 };
const LONG_MS = 20_000;

function row(adId: string, minute: number, value = 1): LiveRow {
  return {
    adId,
    minute,
    valid: value,
    repeat: value,
    givt: value,
    sivt: value,
    defective: value,
    test: value,
  };
}

function deltaOf(shard: number, rows: LiveRow[]): LiveDelta {
  return {
    shard,
    epoch: shard + 1,
    claim: `claim-${shard}`,
    floor: 10 * shard,
    arrivedThroughMs: 1_760_000_000_000,
    rollups: [],
    rows,
  };
}

/** What the owner had to say about requests that it could not answer. */
function serve(node: string, answer: (request: LiveRequest) => LiveDelta[]): unknown[] {
  const troubles: unknown[] = [];
  const subscription = serveLiveDeltas(owner.connection, node, answer, (error) => troubles.push(error));
  onTestFinished(() => subscription.unsubscribe());
  return troubles;
}

async function ask(node: string, timeoutMs = LONG_MS, request = REQUEST) {
  await owner.connection.flush();
  return askLiveDeltas(asker.connection, node, request, timeoutMs);
}

describe('live deltas', () => {
  test('the owner gets the request as it was asked, and its answer comes whole', async () => {
    const requests: LiveRequest[] = [];
    const deltas = [deltaOf(0, [row('ad', 60_000, 7), row('ad', 120_000)]), deltaOf(3, [])];
    serve('node', (request) => {
      requests.push(request);
      return deltas;
    });
    expect(await ask('node')).toEqual(deltas);
    expect(requests).toEqual([REQUEST]);
  });

  test('an owner of no shards answers that', async () => {
    serve('idle', () => []);
    expect(await ask('idle')).toEqual([]);
  });

  test('each node is asked by its own name, dots, stars and all', async () => {
    for (const node of ['a', 'a.b', 'a.*', '>', 'A', 'ä b'])
      serve(node, () => [deltaOf(node.length, [row(node, 0)])]);
    for (const node of ['a', 'a.b', 'a.*', '>', 'A', 'ä b']) {
      expect(await ask(node)).toEqual([deltaOf(node.length, [row(node, 0)])]);
    }
  });

  test('an answer of several parts and of more than one message holds comes whole and in order', async () => {
    const deltas = [0, 1, 2].map((shard) =>
      deltaOf(
        shard,
        Array.from({ length: 9_500 + shard }, (_, index) => row(`ad ${index % 7}`, index * 60_000, index)),
      ),
    );
    expect(JSON.stringify(deltas).length).toBeGreaterThan(2 * 1024 * 1024);
    serve('big', () => deltas);
    expect(Bun.deepEquals(await ask('big'), deltas)).toBe(true);
  });

  test('rows of the longest ad_ids, with every character escaped, and the largest counts come through', async () => {
    const rows = Array.from({ length: 7_000 }, (_, index) =>
      row('"'.repeat(AD_ID_BYTES_MAX), 1_760_000_000_000 + index * 60_000, 2 ** 21),
    );
    serve('worst', () => [deltaOf(1, rows)]);
    const answer = await ask('worst');
    // Not compared as a whole: a difference would be printed with all its rows.
    expect(answer?.[0]?.rows).toHaveLength(rows.length);
    expect(answer?.[0]?.rows.at(-1)).toEqual(rows.at(-1));
  });

  test('rollups of the longest values, with every character escaped, come through beside the rows', async () => {
    const rollups = Array.from({ length: 3_000 }, (_, index): RollupRow => {
      const { minute: quarter, ...counts } = row('"'.repeat(AD_ID_BYTES_MAX), index * 900_000, 2 ** 21);
      return { ...counts, quarter, kind: 2, value: '\u0001'.repeat(128), value2: '\u0001'.repeat(16) };
    });
    const deltas = [
      { ...deltaOf(1, [row('ad', 0)]), rollups },
      { ...deltaOf(2, []), rollups: rollups.slice(0, 1) },
    ];
    const requests: LiveRequest[] = [];
    serve('rollups', (request) => {
      requests.push(request);
      return deltas;
    });
    const request = { adIds: undefined, fromMs: 0, toMs: 900_000, kind: 2 } as const;
    expect(Bun.deepEquals(await ask('rollups', LONG_MS, request), deltas)).toBe(true);
    expect(requests).toEqual([request]);
  });

  test('many that ask at once get each their own answer', async () => {
    serve('busy', ({ fromMs }) => [deltaOf(0, [row('ad', fromMs)])]);
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, index) => ask('busy', LONG_MS, { ...REQUEST, fromMs: index * 60_000 })),
    );
    expect(answers.map((answer) => answer?.[0]?.rows[0]?.minute)).toEqual(
      Array.from({ length: 50 }, (_, index) => index * 60_000),
    );
  });

  test('a node that is not there has not answered, and that is known long before the time is over', async () => {
    const startedAt = performance.now();
    expect(await ask('nobody')).toBeUndefined();
    expect(performance.now() - startedAt).toBeLessThan(LONG_MS / 4);
  });

  test('a node that does not answer, or not to the end, has not answered when the time is over', async () => {
    const silent = owner.connection.subscribe(`live.${Buffer.from('silent').toString('base64url')}`);
    const half = owner.connection.subscribe(`live.${Buffer.from('half').toString('base64url')}`, {
      callback: (_error, message) => {
        message.respond(JSON.stringify(deltaOf(0, [row('ad', 0)])));
      },
    });
    onTestFinished(() => {
      silent.unsubscribe();
      half.unsubscribe();
    });
    expect(await ask('silent', 200)).toBeUndefined();
    expect(await ask('half', 200)).toBeUndefined();
  });

  test('an answer that is no JSON is no answer', async () => {
    const odd = owner.connection.subscribe(`live.${Buffer.from('odd').toString('base64url')}`, {
      callback: (_error, message) => {
        message.respond('{');
        message.respond();
      },
    });
    onTestFinished(() => odd.unsubscribe());
    expect(await ask('odd', 1_000)).toBeUndefined();
  });

  test('an owner that fails at a request leaves that one without an answer, and answers the next', async () => {
    let failing = true;
    const troubles = serve('failing', () => {
      if (failing) throw new Error('on purpose');
      return [deltaOf(0, [])];
    });
    expect(await ask('failing', 300)).toBeUndefined();
    expect(String(troubles)).toContain('on purpose');
    failing = false;
    expect(await ask('failing')).toEqual([deltaOf(0, [])]);
  });

  test('bytes that are no request do not harm the owner', async () => {
    serve('sturdy', () => [deltaOf(0, [])]);
    await owner.connection.flush();
    asker.connection.publish(`live.${Buffer.from('sturdy').toString('base64url')}`, '{');
    await asker.connection.flush();
    expect(await ask('sturdy')).toEqual([deltaOf(0, [])]);
  });
});

describe('changed ads', () => {
  test('are heard by every gateway, in order, as they are', async () => {
    const heard: string[][] = [[], []];
    onAdsChanged(owner.connection, (adIds) => heard[0]?.push(...adIds));
    onAdsChanged(asker.connection, (adIds) => heard[1]?.push(...adIds));
    await Promise.all([owner.connection.flush(), asker.connection.flush()]);
    const adIds = ['ad', 'a"b', '\\', '広告'];
    announceAds(owner.connection, adIds);
    announceAds(asker.connection, ['last']);
    await expect.poll(() => heard.map((one) => one.length)).toEqual([5, 5]);
    expect(heard.map((one) => one.toSorted())).toEqual([0, 1].map(() => [...adIds, 'last'].toSorted()));
  });

  test('bytes that are no announcement do not keep a gateway from hearing the next', async () => {
    const heard: string[] = [];
    onAdsChanged(owner.connection, (adIds) => heard.push(...adIds));
    await owner.connection.flush();
    asker.connection.publish('catalog.changed', 'no JSON');
    announceAds(asker.connection, ['next']);
    await expect.poll(() => heard).toContain('next');
  });
});

describe('changes of ownership', () => {
  test('are heard by the other nodes, not by the one that announces them', async () => {
    const heard: string[] = [];
    onOwnershipChange(owner.connection, 'one', () => heard.push('one'));
    onOwnershipChange(asker.connection, 'two', () => heard.push('two'));
    await Promise.all([owner.connection.flush(), asker.connection.flush()]);
    announceChange(owner.connection, 'one');
    await expect.poll(() => heard).toEqual(['two']);
    announceChange(asker.connection, 'two');
    await expect.poll(() => heard).toEqual(['two', 'one']);
    // Nothing else comes behind.
    await Promise.all([owner.connection.flush(), asker.connection.flush()]);
    expect(heard).toEqual(['two', 'one']);
  });
});

describe('rates of ads', () => {
  const CONNECTED = { isConnected: true };
  const words: RateAnnouncement = { gateway: 'one', hotAdRate: 2_000, rates: [['ad "2"', 17]] };

  test('come to everybody who listens, who said them too', async () => {
    const heard: RateAnnouncement[] = [];
    for (const { connection } of [owner, asker]) onRates(connection, (one) => heard.push(one));
    await asker.connection.flush();
    announceRates(owner.connection, CONNECTED, words);
    await expect.poll(() => heard).toEqual([words, words]);
  });

  test('of a full announcement with the longest ids pass, and what is none is not heard', async () => {
    const rates = Array.from(
      { length: ANNOUNCED_ADS_MAX },
      (_, number) => [`${'é'.repeat(60)}${number}`, number] as const,
    );
    const heard: RateAnnouncement[] = [];
    onRates(asker.connection, (one) => heard.push(one));
    await asker.connection.flush();
    const say = (what: unknown) => owner.connection.publish('ads.rates', JSON.stringify(what));
    owner.connection.publish('ads.rates', 'rubbish');
    say({ gateway: 'one', hotAdRate: 1, rates: [['ad', -1]] });
    say({ gateway: 'one', hotAdRate: 1, rates: [...rates, ['one more', 1]] });
    announceRates(owner.connection, CONNECTED, { ...words, rates });
    await expect.poll(() => heard).toEqual([{ ...words, rates }]);
  });

  test('are not kept for later while there is no connection (I14)', async () => {
    const heard: RateAnnouncement[] = [];
    onRates(asker.connection, (one) => heard.push(one));
    await asker.connection.flush();
    announceRates(owner.connection, { isConnected: false }, { ...words, gateway: 'unheard' });
    announceRates(owner.connection, CONNECTED, words);
    await expect.poll(() => heard).toEqual([words]);
  });
});
