/**
 * The rows of the chosen ads, kept up to date: minutes as the service streams them, wider rows by asking again. What was
 * received stays on the page while the connection is away.
 */
import { useEffect, useState } from 'preact/hooks';
import { type Aggregates, address, ask, type Changes, type Freshness, type Row, wordsOf } from './api.ts';
import { serviceNow } from './clock.ts';
import { MINUTE_MS, RANGES, rangeStart, type View } from './view.ts';

const ASK_AGAIN_MS = 10_000;
const OPEN_AGAIN_MS = 3_000;

export type Connection =
  /** No ad is chosen. */
  | { readonly kind: 'idle' }
  | { readonly kind: 'connecting' }
  | { readonly kind: 'live' }
  | { readonly kind: 'asked' }
  | { readonly kind: 'away'; readonly why: string };

export interface Known {
  readonly rows: ReadonlyMap<string, Row>;
  readonly freshness: Freshness | undefined;
  readonly connection: Connection;
}

const NOTHING: Known = { rows: new Map(), freshness: undefined, connection: { kind: 'connecting' } };
const AWAY = 'the service does not answer';

export function useSeries({ ads, range, zone }: View): Known {
  const [known, setKnown] = useState(NOTHING);
  const { granularity } = RANGES[range];
  const isLive = granularity === 'minute';
  useEffect(() => {
    setKnown(NOTHING);
    if (ads.length === 0) return;
    return isLive ? follow({ ads, range, zone }, setKnown) : askOften({ ads, range, zone }, setKnown);
  }, [ads.join('\n'), range, isLive ? '' : zone]);
  return known;
}

type Set = (change: (known: Known) => Known) => void;

/** @returns how to end it */
function follow({ ads, range }: View, set: Set): () => void {
  const url = address('/api/v1/stream', { adId: ads, from: String(rangeStart(range, serviceNow())) });
  let source: EventSource;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isEnded = false;
  const away = (why: string) => set((known) => ({ ...known, connection: { kind: 'away', why } }));
  const receive = (isSnapshot: boolean) => (event: MessageEvent<string>) => {
    const { rows, freshness } = JSON.parse(event.data) as Changes;
    set((known) => {
      const all = new Map(isSnapshot ? [] : known.rows);
      const startMs = rangeStart(range, serviceNow());
      for (const [key, { from }] of all) if (Date.parse(from) < startMs) all.delete(key);
      for (const { minute, ...row } of rows) all.set(`${row.adId} ${minute}`, { ...row, from: minute });
      return { rows: all, freshness, connection: { kind: 'live' } };
    });
  };
  /** The browser connects again by itself, but not after a refusal: then we ask why, and try again later. */
  const fail = () => {
    if (source.readyState !== EventSource.CLOSED) return away(AWAY);
    void whyRefused(url).then((why) => {
      if (isEnded) return;
      away(why);
      timer = setTimeout(open, OPEN_AGAIN_MS);
    });
  };
  const open = () => {
    source = new EventSource(url);
    source.addEventListener('snapshot', receive(true));
    source.addEventListener('change', receive(false));
    source.addEventListener('problem', (event) =>
      away((JSON.parse(event.data) as { detail: string }).detail),
    );
    source.addEventListener('error', fail);
  };
  open();
  return () => {
    isEnded = true;
    source.close();
    clearTimeout(timer);
  };
}

async function whyRefused(url: string): Promise<string> {
  const end = new AbortController();
  try {
    const response = await fetch(url, { signal: end.signal });
    return response.ok ? AWAY : await wordsOf(response);
  } catch {
    return AWAY;
  } finally {
    end.abort();
  }
}

function askOften(view: View, set: Set): () => void {
  const end = new AbortController();
  const look = async () => {
    const { granularity } = RANGES[view.range];
    const nowMs = serviceNow();
    try {
      const { rows, freshness } = await ask<Aggregates>(
        '/api/v1/aggregates',
        {
          adId: view.ads,
          from: String(rangeStart(view.range, nowMs)),
          to: String(Math.ceil(nowMs / MINUTE_MS) * MINUTE_MS),
          granularity,
          timeZone: view.zone,
          fill: 'true',
        },
        end.signal,
      );
      const all = new Map(rows.map((row) => [`${row.adId} ${row.from}`, row]));
      set(() => ({ rows: all, freshness, connection: { kind: 'asked' } }));
    } catch (error) {
      if (end.signal.aborted) return;
      set((known) => ({ ...known, connection: { kind: 'away', why: wordsFor(error) } }));
    }
  };
  void look();
  const timer = setInterval(() => void look(), ASK_AGAIN_MS);
  return () => {
    end.abort();
    clearInterval(timer);
  };
}

/** What a browser says of a lost connection helps nobody. */
export function wordsFor(error: unknown): string {
  return error instanceof TypeError || !(error instanceof Error) ? AWAY : error.message;
}
