/** Answers that go on: events and files, slow clients, clients that go, and failures midway. */
import { status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { callError, invalidArgument } from '../../../src/contract/callErrors.ts';
import type { StreamAggregatesRequest__Output as StreamRequest } from '../../../src/contract/generated/clickledger/v1/StreamAggregatesRequest.ts';
import { until } from '../../support/until.ts';
import { served } from './served.ts';

const MS = Date.UTC(2024, 2, 1);
const STREAM = '/api/v1/stream?adId=a&adId=b&from=2024-03-01';
const EXPORT = '/api/v1/export?format=csv&from=2024-03-01&to=2024-03-02&granularity=hour';
const change = (token: string, clicks = 1) => ({
  rows: [
    { ad_id: 'a', from_ms: MS, to_ms: MS + 60_000, metrics: { clicks }, status: 'PROVISIONAL' as const },
  ],
  resume_token: token,
});

describe('the stream', () => {
  it('tells a snapshot, then changes, each with what to go on from', async () => {
    const asked: StreamRequest[] = [];
    const { get } = await served({
      answers: {
        async *streamAggregates(request) {
          asked.push(request);
          yield { ...change('t1'), snapshot: true };
          yield change('t2', 2);
        },
      },
    });
    const response = await get(STREAM, { headers: { 'last-event-id': 't0' } });
    expect(response.headers.get('content-type')).toBe('text/event-stream');
    const [retry, ...events] = (await response.text()).trimEnd().split('\n\n');
    expect(retry).toBe('retry: 1000');
    expect(events).toEqual([
      expect.stringMatching(
        /^id: t1\nevent: snapshot\ndata: \{"rows":\[\{"adId":"a","minute":"2024-03-01T00:00:00.000Z","clicks":1,/,
      ),
      expect.stringMatching(/^id: t2\nevent: change\ndata: .*"clicks":2,/),
    ]);
    expect(asked).toEqual([{ ad_ids: ['a', 'b'], from_ms: MS, resume_token: 't0' }]);
  });

  it('is a problem with its own status where it cannot begin', async () => {
    const { get } = await served({
      answers: {
        // biome-ignore lint/correctness/useYield: it fails before it has anything
        async *streamAggregates() {
          throw invalidArgument('from_ms 5 is wrong: it must be on a whole minute');
        },
      },
    });
    const response = await get(STREAM);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ parameter: 'from' });
  });

  it('says why it ends, where it fails midway', async () => {
    const { get } = await served({
      answers: {
        async *streamAggregates() {
          yield change('t1');
          throw callError(status.UNAVAILABLE, 'the counts are away');
        },
      },
    });
    const text = await (await get(STREAM)).text();
    expect(text).toMatch(
      /event: problem\ndata: \{.*"detail":"the counts are away","code":"UNAVAILABLE"\}\n\n$/,
    );
  });

  it('shows that it lives while nothing changes', async () => {
    const quiet = Promise.withResolvers<void>();
    const { get } = await served({
      pause: () => quiet.promise,
      answers: {
        async *streamAggregates(_, signal) {
          yield change('t1');
          await new Promise((resolve) => signal.addEventListener('abort', resolve));
        },
      },
    });
    const reader = (await get(STREAM)).body?.getReader();
    quiet.resolve();
    let text = '';
    while (!text.includes(': quiet\n\n')) text += new TextDecoder().decode((await reader?.read())?.value);
    await reader?.cancel();
  });

  it('ends its work when the client goes, and when the process does', async () => {
    let open = 0;
    const { get, web } = await served({
      answers: {
        async *streamAggregates(_, signal) {
          open++;
          try {
            yield change('t1');
            await new Promise((resolve) => signal.addEventListener('abort', resolve));
          } finally {
            open--;
          }
        },
      },
    });
    const client = new AbortController();
    const gone = await get(STREAM, { signal: client.signal });
    const stays = await get(STREAM);
    await until(() => open === 2);
    client.abort();
    await gone.text().catch(() => undefined);
    await until(() => open === 1, 'the end of what the client left');
    web.end();
    expect(await stays.text()).toContain('t1');
    await until(() => open === 0, 'the end of the other');
  });

  it('reads no further ahead than its client: what changes meanwhile is merged by who answers', async () => {
    const bytes = 'x'.repeat(64 * 1_024);
    let sent = 0;
    const { get } = await served({
      answers: {
        async *streamAggregates() {
          for (; sent < 2_000; sent++)
            yield { ...change('t'), rows: [{ ...change('t').rows[0], ad_id: bytes }] };
        },
      },
    });
    const client = new AbortController();
    await get(STREAM, { signal: client.signal });
    await Bun.sleep(500);
    const ahead = sent;
    await Bun.sleep(200);
    client.abort();
    // What the socket takes, no more: far from all 128 MB.
    expect(sent).toBe(ahead);
    expect(ahead).toBeLessThan(1_000);
  });

  it('more than a thousand at once are asked to come again, until one has gone', async () => {
    const { web } = await served({
      answers: {
        async *streamAggregates(_, signal) {
          yield change('t1');
          await new Promise((resolve) => signal.addEventListener('abort', resolve));
        },
      },
    });
    // Without sockets: this client has not as many.
    const open = () => web.handle(new Request(`http://127.0.0.1${STREAM}`));
    const streams = await Promise.all(Array.from({ length: 1_000 }, open));
    expect(streams.every(({ status: code }) => code === 200)).toBe(true);
    const refused = await open();
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1']);
    expect(await refused.json()).toMatchObject({ detail: expect.stringContaining('1000 streams') });
    await streams[0]?.body?.cancel();
    expect((await open()).status).toBe(200);
  });
});

describe('a download', () => {
  it.each([
    ['csv', 'text/csv'],
    ['ndjson', 'application/x-ndjson'],
    ['parquet', 'application/vnd.apache.parquet'],
  ])('as %s is the bytes of the file, under its name', async (format, type) => {
    const asked: unknown[] = [];
    const { get } = await served({
      answers: {
        async *exportAggregates(request) {
          asked.push(request.format);
          yield { chunk: Buffer.from('first ') };
          yield { chunk: Buffer.from('second') };
          yield { manifest: { rows: 2 } as never };
        },
      },
    });
    const response = await get(EXPORT.replace('csv', format));
    expect(response.headers.get('content-type')).toMatch(new RegExp(`^${RegExp.escape(type)}`));
    expect(response.headers.get('content-disposition')).toBe(`attachment; filename="aggregates.${format}"`);
    expect(await response.text()).toBe('first second');
    expect(asked).toEqual([format.toUpperCase()]);
  });

  it('that fails midway never looks complete', async () => {
    const { get, log } = await served({
      answers: {
        async *exportAggregates() {
          yield { chunk: Buffer.from('first') };
          await Bun.sleep(20);
          throw new Error('the database is away');
        },
      },
    });
    const response = await get(EXPORT);
    await expect(response.text()).rejects.toThrow();
    expect(log.lines).toMatchObject([{ level: 'error' }]);
  });

  it('that cannot begin is a problem', async () => {
    const { get } = await served({
      answers: {
        // biome-ignore lint/correctness/useYield: it fails before it has anything
        async *exportAggregates() {
          throw invalidArgument('format is wrong');
        },
      },
    });
    const response = await get(EXPORT.replace('csv', 'xlsx'));
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ parameter: 'format' });
  });
});
