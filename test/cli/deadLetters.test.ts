/**
 * `clickledger dead-letters` on a real NATS and PostgreSQL, without anybody who counts: what it shows, what it
 * publishes, and that it publishes it once.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  decodeClickBatch,
  encodeClickBatch,
  encodeClickRecord,
} from '../../src/adapters/nats/clickBatchCodec.ts';
import { ClickPublisher } from '../../src/adapters/nats/clickPublisher.ts';
import { clickStream, readStreamState } from '../../src/adapters/nats/clickStreams.ts';
import { Connectivity } from '../../src/adapters/nats/connectivity.ts';
import { RoutingLog } from '../../src/adapters/nats/routingLog.ts';
import { prepareTopology } from '../../src/adapters/nats/topology.ts';
import { storeFlush } from '../../src/adapters/postgres/storeFlush.ts';
import { bunCommand } from '../../src/cli/stack/tools.ts';
import type { ClickRecord } from '../../src/domain/clickRecord.ts';
import type { DeadLetter } from '../../src/domain/deadLetter.ts';
import { redriveMessageId } from '../../src/domain/redrive.ts';
import { formatUuid } from '../../src/domain/uuid7.ts';
import { type Broker, openBroker } from '../adapters/nats/clicks.ts';
import {
  addShard,
  flushOf,
  INCARNATION,
  type Ledger,
  openLedger,
  partitionsOf,
} from '../adapters/postgres/ledger.ts';
import { NOON_MS, RULES, recordOf, uuid7At } from '../support/clicks.ts';
import { startNats } from '../support/nats.ts';
import type { OwnServer } from '../support/ownServer.ts';
import { freshDatabase } from '../support/postgres.ts';
import { testFolder } from './stack/testFolder.ts';

const SHARDS = 4;
const CLOSED_UNTIL_MS = NOON_MS + 60_000;
const TIMEOUT_MS = 60_000;

let server: OwnServer;
let broker: Broker;
let routing: RoutingLog;
let ledger: Ledger;
/** A shard to which `recordOf()` does not belong, and the one to which it does. */
let wrong: number;
let right: number;

beforeAll(async () => {
  ledger = await openLedger();
});
afterAll(() => ledger.end());

beforeEach(async () => {
  server = await startNats();
  broker = await openBroker(server.url);
  await prepareTopology(broker.connection, { shards: SHARDS, rules: RULES });
  routing = new RoutingLog(broker.client, broker.manager);
  await routing.read();
  await routing.append({ kind: 'closed_until', untilMs: CLOSED_UNTIL_MS });
  right = routing.table.route(recordOf());
  wrong = (right + 1) % SHARDS;
  await ledger.pool.query('truncate shard, dead_letter');
});
afterEach(async () => {
  await broker.connection.close();
  await server.stop();
});

async function start(words: readonly string[], environment: Record<string, string> = {}) {
  return Bun.spawn([...bunCommand('src/cli/main.ts'), 'dead-letters', ...words], {
    env: {
      CLICKLEDGER_DATA_DIR: await testFolder(),
      NATS_URL: server.url,
      DATABASE_URL: ledger.url,
      ...environment,
    },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
    timeout: TIMEOUT_MS,
  });
}

async function run(words: string, environment: Record<string, string> = {}) {
  const child = await start(words.split(' '), environment);
  const [code, out, error] = await Promise.all([child.exited, child.stdout.text(), child.stderr.text()]);
  return { code, out, error, lines: out.trim().split('\n') };
}

/** As the owner of the shard stores them. */
async function bury(shard: number, ...deadLetters: DeadLetter[]): Promise<void> {
  await addShard(ledger, shard);
  const flush = flushOf({ shard, newFloor: 1_000, deadLetters });
  expect(await storeFlush(ledger.pool, partitionsOf(ledger), flush)).toEqual({ kind: 'stored' });
}

function misrouted(sequence: number, changes: Partial<ClickRecord> = {}, index = 0): DeadLetter {
  return { sequence, index, reason: 'misrouted', bytes: encodeClickRecord(recordOf(changes)) };
}

function undecodable(sequence: number, bytes: Uint8Array = Buffer.from('no batch')): DeadLetter {
  return { sequence, index: 0, reason: 'undecodable', bytes };
}

/** Each its own click and impression of one ad. */
function many(count: number): DeadLetter[] {
  return Array.from({ length: count }, (_, index) =>
    misrouted(1 + index, {
      clickId: uuid7At(NOON_MS, 1_000 + index),
      impressionId: uuid7At(NOON_MS, 9_000 + index),
    }),
  );
}

/** The click_ids on each shard's stream. */
async function published(shard: number): Promise<string[]> {
  const { lastSequence } = await readStreamState(broker.manager, shard);
  const clickIds: string[] = [];
  for (let seq = 1; seq <= lastSequence; seq++) {
    const { data } = await broker.manager.streams.getMessage(clickStream(shard), { seq });
    for (const { facts } of decodeClickBatch(data)?.records ?? [])
      clickIds.push(facts === undefined ? 'unreadable' : formatUuid(facts.clickId));
  }
  return clickIds;
}

async function everythingPublished(): Promise<string[]> {
  const shards = Array.from({ length: SHARDS }, (_, shard) => published(shard));
  return (await Promise.all(shards)).flat();
}

const CLICK_ID = formatUuid(recordOf().clickId);

describe('list', () => {
  test('shows position, reason, size, the click where it can be read, and where it went', async () => {
    await bury(wrong, undecodable(3), misrouted(4), misrouted(5, { adId: '\u001b[31mad' }, 2));
    await run(`redrive --shard ${wrong} --sequence 4`);
    const { code, lines } = await run('list');
    expect(code).toBe(0);
    const cells = lines.map((line) => line.trimEnd().split(/\s{2,}/));
    const when = expect.stringMatching(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
    const size = expect.stringMatching(/^\d+$/);
    expect(cells).toEqual([
      ['stored (UTC)', 'shard', 'sequence', 'index', 'reason', 'bytes', 'ad', 'click', 'redriven to'],
      [when, `${wrong}`, '5', '2', 'misrouted', size, '\\u001b[31mad', CLICK_ID, 'not yet'],
      [when, `${wrong}`, '4', '0', 'misrouted', size, 'ad-1', CLICK_ID, `shard ${right}, sequence 1`],
      [when, `${wrong}`, '3', '0', 'undecodable', '8', '–', '–', 'not yet'],
      ['3 dead letters, 1 redriven'],
    ]);
  });

  test('shows the newest, selected by shard and reason, and says how many there are', async () => {
    await bury(0, undecodable(1), misrouted(2));
    await bury(1, undecodable(8), undecodable(9));
    const limited = await run('list --limit 1');
    expect(limited.lines).toHaveLength(3);
    expect(limited.lines[1]).toMatch(/ 1 +9 +0 +undecodable /);
    expect(limited.lines[2]).toBe('the newest 1 of 4 dead letters, 0 redriven; --limit shows more');
    const selected = await run('list --shard 0 --reason undecodable');
    expect(selected.lines).toHaveLength(3);
    expect(selected.lines[1]).toMatch(/ 0 +1 +0 +undecodable /);
    expect(selected.lines[2]).toBe('1 dead letter, 0 redriven');
  });

  test('says so where there are none', async () => {
    expect(await run('list')).toMatchObject({ code: 0, out: 'no dead letters\n' });
    expect(await run('list --shard 3 --reason misrouted')).toMatchObject({
      code: 0,
      out: 'no dead letters of shard 3 with the reason misrouted\n',
    });
    expect(await run('list --json')).toMatchObject({ code: 0, out: '' });
  });

  test('prints JSON, a line a letter, with the very bytes', async () => {
    await bury(wrong, undecodable(3, Buffer.from([0, 255, 10])), misrouted(4));
    await run(`redrive --shard ${wrong} --sequence 4`);
    const [second, first] = (await run('list --json')).lines.map((line) => JSON.parse(line));
    expect(first).toEqual({
      shard: wrong,
      stream_incarnation: INCARNATION,
      stream_sequence: 3,
      index: 0,
      reason: 'undecodable',
      stored_at: expect.stringMatching(/^\d{4}-.*Z$/),
      ad_id: null,
      click_id: null,
      redriven: null,
      bytes: 'AP8K',
    });
    const { incarnation } = await readStreamState(broker.manager, right);
    expect(second).toMatchObject({
      ad_id: 'ad-1',
      click_id: CLICK_ID,
      redriven: { shard: right, stream_incarnation: incarnation, stream_sequence: 1 },
      bytes: Buffer.from(encodeClickRecord(recordOf())).toString('base64'),
    });
  });
});

describe('redrive', () => {
  test('publishes a misrouted click to its shard, once, however often it is run', async () => {
    await bury(wrong, misrouted(7));
    const first = await run(`redrive --shard ${wrong} --sequence 7`);
    expect(first).toMatchObject({ code: 0, error: '' });
    expect(first.lines).toEqual([
      `shard ${wrong}, sequence 7, index 0: redriven to shard ${right}, sequence 1`,
      '1 redriven, 0 still unreadable, 0 left',
    ]);
    const { data } = await broker.manager.streams.getMessage(clickStream(right), { seq: 1 });
    const bytes = encodeClickRecord(recordOf());
    expect(Buffer.from(data)).toEqual(Buffer.from(encodeClickBatch(routing.table.sequence, [bytes])));
    for (const words of [`redrive --shard ${wrong} --sequence 7 --index 0`, 'redrive --all']) {
      expect(await run(words)).toMatchObject({
        code: 0,
        out: '0 redriven, 0 still unreadable, 0 left (1 redriven before)\n',
      });
    }
    expect(await everythingPublished()).toEqual([CLICK_ID]);
  });

  test('that was killed between publishing and marking goes on where it was', async () => {
    await bury(wrong, misrouted(7));
    const letter = { shard: wrong, incarnation: INCARNATION, sequence: 7, index: 0 };
    const batch = encodeClickBatch(routing.table.sequence, [encodeClickRecord(recordOf())]);
    const { client, manager, connection } = broker;
    const publisher = new ClickPublisher(client, manager, new Connectivity(connection), 5_000);
    await publisher.publish(right, batch, redriveMessageId(letter));
    await publisher.publish(right, Buffer.from('meanwhile'), 'another');
    const { code, lines } = await run('redrive --all');
    expect(code).toBe(0);
    expect(lines[0]).toBe(`shard ${wrong}, sequence 7, index 0: redriven to shard ${right}, sequence 1`);
    expect(await everythingPublished()).toEqual([CLICK_ID]);
  });

  test('killed anywhere, or run twice at once, publishes each click once', async () => {
    await bury(wrong, ...many(300));
    const child = await start(['redrive', '--all']);
    const reader = child.stdout.getReader();
    await reader.read();
    child.kill('SIGKILL');
    await child.exited;
    const before = (await everythingPublished()).length;
    expect(before).toBeGreaterThan(0);
    expect(before).toBeLessThan(300);
    const [one, two] = await Promise.all([run('redrive --all'), run('redrive --all')]);
    expect([one.code, two.code]).toEqual([0, 0]);
    for (const { lines } of [one, two]) expect(lines.at(-1)).toContain(', 0 still unreadable, 0 left');
    const clickIds = await everythingPublished();
    expect(clickIds).toHaveLength(300);
    expect(new Set(clickIds).size).toBe(300);
    expect(await run('redrive --all')).toMatchObject({
      out: '0 redriven, 0 still unreadable, 0 left (300 redriven before)\n',
    });
  });

  test('leaves what cannot be read, and says which', async () => {
    await bury(wrong, undecodable(3), misrouted(4));
    const { code, lines } = await run('redrive --all');
    expect(code).toBe(1);
    expect(lines).toEqual([
      `shard ${wrong}, sequence 3, index 0: still undecodable`,
      `shard ${wrong}, sequence 4, index 0: redriven to shard ${right}, sequence 1`,
      '1 redriven, 1 still unreadable, 0 left',
    ]);
    expect(await everythingPublished()).toEqual([CLICK_ID]);
    expect((await run(`redrive --shard ${wrong} --sequence 3`)).code).toBe(1);
  });

  test('leaves a click of beyond closed_until until that was raised (I3)', async () => {
    const early = { clickId: uuid7At(CLOSED_UNTIL_MS), impressionId: undefined, receivedMs: CLOSED_UNTIL_MS };
    const shard = (routing.table.route(recordOf(early)) + 1) % SHARDS;
    await bury(shard, misrouted(7, early));
    const { code, lines } = await run('redrive --all');
    expect(code).toBe(1);
    expect(lines[0]).toContain('left: it needs a closed_until of 2025-06-15T12:01:00.001Z');
    expect(lines[1]).toBe('0 redriven, 0 still unreadable, 1 left');
    expect(await everythingPublished()).toEqual([]);
    await routing.append({ kind: 'closed_until', untilMs: CLOSED_UNTIL_MS + 1 });
    expect((await run('redrive --all')).code).toBe(0);
    expect(await everythingPublished()).toEqual([formatUuid(early.clickId)]);
  });

  test('that only looks changes nothing', async () => {
    await bury(wrong, misrouted(7));
    const { code, lines } = await run('redrive --all --dry-run');
    expect(code).toBe(0);
    expect(lines).toEqual([
      `shard ${wrong}, sequence 7, index 0: would be redriven to shard ${right}`,
      'dry run: 1 would be redriven, 0 still unreadable, 0 left',
    ]);
    expect(await everythingPublished()).toEqual([]);
    expect((await run('list')).out).toContain('1 dead letter, 0 redriven');
  });

  test('says how far it has come where there are many', async () => {
    await bury(wrong, ...many(1_100));
    const { code, error, lines } = await run('redrive --all --dry-run');
    expect(code).toBe(0);
    expect(error).toBe('1,000 of 1,100 dead letters\n');
    expect(lines.at(-1)).toBe('dry run: 1,100 would be redriven, 0 still unreadable, 0 left');
  });

  test('stops after a few that a shard does not take, and leaves them', async () => {
    await bury(wrong, ...many(5));
    await broker.manager.streams.delete(clickStream(right));
    const { code, error, lines } = await run('redrive --all');
    expect(code).toBe(1);
    expect(lines).toHaveLength(4);
    expect(lines[0]).toContain(`left: shard ${right} did not confirm it: `);
    expect(lines[3]).toBe('0 redriven, 0 still unreadable, 5 left');
    expect(error).toMatch(/^stopped: 3 letters in a row did not go through; run it again/);
  });

  test('that could not write a position down says so, and finds it again', async () => {
    await bury(wrong, misrouted(7));
    await ledger.pool.query(`create function refuse() returns trigger language plpgsql as
      $$ begin raise exception 'the disk is full'; end $$`);
    await ledger.pool.query(
      'create trigger full_disk before update on dead_letter execute function refuse()',
    );
    const place = `shard ${wrong}, sequence 7, index 0`;
    try {
      const { code, lines } = await run('redrive --all');
      expect(code).toBe(1);
      expect(lines).toEqual([
        `${place}: left: its clicks are at shard ${right}, sequence 1, but that could not be written down: the disk is full`,
        '0 redriven, 0 still unreadable, 1 left',
      ]);
    } finally {
      await ledger.pool.query('drop function refuse cascade');
    }
    const { code, lines } = await run('redrive --all');
    expect(code).toBe(0);
    expect(lines[0]).toBe(`${place}: redriven to shard ${right}, sequence 1`);
    expect(await everythingPublished()).toEqual([CLICK_ID]);
  });

  test('of a letter that is not there is not done', async () => {
    const { code, error } = await run('redrive --shard 2 --sequence 9 --index 1');
    expect(code).toBe(1);
    expect(error).toMatch(/^there is no dead letter at shard 2, sequence 9, index 1; /);
    expect(await run('redrive --all')).toMatchObject({
      code: 0,
      out: '0 redriven, 0 still unreadable, 0 left\n',
    });
  });
});

test.each([
  [
    'redrive',
    'no letter is named; right is --shard N --sequence N, with --index N for one of several, or --all',
  ],
  ['redrive --shard 3', '--shard names no letter; right is'],
  ['redrive --sequence 3 --index 0', '--sequence with --index names no letter; right is'],
  ['redrive --all --shard 3', '--all with --shard: right is one or the other'],
  ['redrive --shard 1 --sequence 0', 'Right is a whole number from 1'],
  ['list --reason lost', 'Allowed choices are undecodable, misrouted, unjudgeable'],
  ['list --limit 0', 'Right is a whole number from 1 to 10000'],
  ['bury', "unknown command 'bury'"],
])('%s is wrong use: %s', async (words, message) => {
  const { code, out, error } = await run(words);
  expect({ code, out }).toEqual({ code: 2, out: '' });
  expect(error).toContain(message);
  expect(error).not.toContain('    at ');
});

test('servers that are not there, not of this release or not named are named', async () => {
  const gone = await run('list', { DATABASE_URL: 'postgres://127.0.0.1:1/none' });
  expect(gone.code).toBe(2);
  expect(gone.error).toContain('DATABASE_URL: the server at 127.0.0.1:1 cannot be used');
  const unnamed = await run('list', { DATABASE_URL: '' });
  expect(unnamed.code).toBe(2);
  expect(unnamed.error).toMatch(/^nothing runs on .*: start it with \.\/clickledger up, or name its servers/);
  const silent = await run('redrive --all', { NATS_URL: 'nats://127.0.0.1:1' });
  expect(silent.code).toBe(2);
  expect(silent.error).toContain('NATS_URL: the server at 127.0.0.1:1 cannot be used');
  const empty = await freshDatabase({ migrated: false });
  try {
    const old = await run('list', { DATABASE_URL: empty.url });
    expect(old.code).toBe(2);
    expect(old.error).toContain('the tables are not those of this release');
  } finally {
    await empty.drop();
  }
});
