/** The page: what is looked at, and what is known of it. */
import { useEffect, useMemo, useState } from 'preact/hooks';
import { type Ads, ask, type Top } from './api.ts';
import { ChartCard } from './ChartCard.tsx';
import { Controls } from './Controls.tsx';
import { serviceNow } from './clock.ts';
import { Finality } from './Finality.tsx';
import { Header } from './Header.tsx';
import { Split } from './Split.tsx';
import { seriesOf } from './series.ts';
import { TopCard } from './TopCard.tsx';
import { type Connection, useSeries, wordsFor } from './useSeries.ts';
import { ADS_MAX, MINUTE_MS, RANGES, rangeStart, readView, type View, writeView } from './view.ts';
import { country, device } from './words.ts';

const ADS_AT_FIRST = 3;
const TOP = 8;
const NOBODY: Connection = { kind: 'idle' };
const WIDTHS = { minute: MINUTE_MS, hour: 60 * MINUTE_MS, day: 1_440 * MINUTE_MS };

export function App() {
  const [view, setView] = useState(() => readView(location.search));
  const [trouble, setTrouble] = useState('');
  const nowMs = useNow();
  const known = useSeries(view);
  const change = (changes: Partial<View>) => setView((before) => ({ ...before, ...changes }));
  const toggle = (ad: string) =>
    setView((before) => {
      const others = before.ads.filter((one) => one !== ad);
      const ads = others.length < before.ads.length ? others : [...others, ad].slice(-ADS_MAX);
      return { ...before, ads };
    });

  useEffect(() => {
    history.replaceState(null, '', writeView(view));
  }, [view]);
  useEffect(() => {
    const back = () => setView(readView(location.search));
    addEventListener('popstate', back);
    return () => removeEventListener('popstate', back);
  }, []);
  useEffect(() => {
    if (view.ads.length > 0) return;
    const end = new AbortController();
    busiestAds(view, end.signal).then(
      (ads) => change({ ads }),
      (error: unknown) => end.signal.aborted || setTrouble(wordsFor(error)),
    );
    return () => end.abort();
    // Only where the page begins: who takes the last ad away wants none.
  }, []);

  const { granularity } = RANGES[view.range];
  const firstMs = rangeStart(view.range, nowMs);
  const series = useMemo(() => {
    const rows = [...known.rows.values()];
    const starts =
      granularity === 'minute'
        ? Array.from({ length: RANGES[view.range].minutes }, (_, at) => firstMs + at * MINUTE_MS)
        : [...new Set(rows.map(({ from }) => Date.parse(from)))].sort((left, right) => left - right);
    return seriesOf(rows, view.ads, starts, WIDTHS[granularity], known.freshness);
  }, [known, view, firstMs]);

  return (
    <>
      <a class="skip" href="#content">
        Skip to the counts
      </a>
      <Header
        connection={view.ads.length === 0 ? NOBODY : known.connection}
        freshness={known.freshness}
        zone={view.zone}
      />
      <main id="content" tabIndex={-1}>
        <Controls view={view} change={change} toggle={toggle} />
        {trouble !== '' && view.ads.length === 0 && (
          <p class="notice" role="alert">
            {trouble}
          </p>
        )}
        <Split series={series} view={view} />
        <ChartCard series={series} view={view} connection={known.connection} />
        <div class="thirds">
          <TopCard title="Top ads" of="all ads" dimension="ad_id" view={view} n={TOP} toggle={toggle} />
          <TopCard title="Countries" dimension="country" view={view} n={TOP} named={country} />
          <TopCard title="Devices" dimension="device_type" view={view} n={TOP} named={device} />
        </div>
        <Finality series={series} view={view} freshness={known.freshness} />
      </main>
      <footer>
        <p>
          The same numbers for programs: <a href="/api/v1/openapi.json">REST</a>, and gRPC.
        </p>
      </footer>
    </>
  );
}

/** Where nobody has chosen: the ads with most clicks, or if there are none yet, the first of the catalog. */
async function busiestAds({ range }: View, signal: AbortSignal): Promise<string[]> {
  const nowMs = serviceNow();
  const top = await ask<Top>(
    '/api/v1/top',
    {
      dimension: 'ad_id',
      n: String(ADS_AT_FIRST),
      from: String(rangeStart(range, nowMs)),
      to: String(Math.ceil(nowMs / MINUTE_MS) * MINUTE_MS),
    },
    signal,
  ).catch(() => undefined);
  const busiest = top?.entries.filter(({ clicks }) => clicks > 0).map(({ value }) => value) ?? [];
  if (busiest.length > 0) return busiest;
  const { ads } = await ask<Ads>('/api/v1/ads', { limit: String(ADS_AT_FIRST) }, signal);
  return ads.map(({ adId }) => adId);
}

function useNow(): number {
  const [nowMs, setNowMs] = useState(serviceNow);
  useEffect(() => {
    const timer = setInterval(() => setNowMs(serviceNow()), 1_000);
    return () => clearInterval(timer);
  }, []);
  return nowMs;
}
