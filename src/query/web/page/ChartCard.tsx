/** Valid clicks of each ad over time, as a chart and as a table. */
import { useEffect, useMemo, useRef } from 'preact/hooks';
import { Chart } from './chart.ts';
import type { Series } from './series.ts';
import { onThemeChange } from './theme.ts';
import type { Connection } from './useSeries.ts';
import { RANGES, type View } from './view.ts';
import { day, moment, number } from './words.ts';

const TABLE_ROWS_MAX = 120;

interface ChartCardParts {
  readonly series: Series;
  readonly view: View;
  readonly connection: Connection;
}

export function ChartCard({ series, view, connection }: ChartCardParts) {
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<Chart>(undefined);
  const { granularity, words } = RANGES[view.range];
  const latest = useRef(series);
  latest.current = series;
  useEffect(() => {
    if (place.current === null) return;
    const draw = () => {
      chart.current?.destroy();
      if (place.current === null) return;
      chart.current = new Chart(place.current, view.ads, view.zone, granularity);
      chart.current.show(latest.current);
    };
    draw();
    const end = onThemeChange(draw);
    return () => {
      end();
      chart.current?.destroy();
      chart.current = undefined;
    };
  }, [view.ads.join('\n'), view.zone, granularity]);
  useEffect(() => chart.current?.show(series), [series]);

  const title = `Valid clicks ${granularity === 'minute' ? 'a minute' : `by ${granularity}`}`;
  const summary = view.ads
    .map((ad) => `${ad}: ${number((series.clicks.get(ad) ?? []).reduce((sum, one) => sum + one, 0))}`)
    .join(', ');
  return (
    <section class="card chart" aria-labelledby="chart-title">
      <div class="title">
        <h2 id="chart-title">{title}</h2>
        <ul class="legend" aria-label="Lines">
          {view.ads.map((ad, index) => (
            <li key={ad} class={`ad-${index}`}>
              <i aria-hidden="true" />
              <span title={ad}>{ad}</span>
              <b data-testid={`last-${ad}`} title={`so far in this ${granularity}`}>
                {number(series.clicks.get(ad)?.at(-1) ?? 0)}
              </b>
            </li>
          ))}
          <li class="kinds">
            <i class="dashed" aria-hidden="true" />
            provisional
          </li>
          <li class="kinds">
            <i class="solid" aria-hidden="true" />
            settled or final
          </li>
        </ul>
      </div>
      <div ref={place} class="plot" role="img" aria-label={`${title} in ${words}. ${summary}`} />
      {view.ads.length === 0 && (
        <p class="empty">
          Choose an ad above. Where there is none yet, <code>./clickledger up --demo</code> makes some.
        </p>
      )}
      {connection.kind === 'away' && view.ads.length > 0 && series.buckets.length === 0 && (
        <p class="empty failed">{connection.why}</p>
      )}
      <details>
        <summary>As a table</summary>
        <SeriesTable series={series} view={view} />
      </details>
    </section>
  );
}

function SeriesTable({ series, view }: Pick<ChartCardParts, 'series' | 'view'>) {
  const { granularity } = RANGES[view.range];
  const rows = useMemo(
    () =>
      series.buckets
        .map(({ startMs, status }, at) => ({
          startMs,
          status,
          clicks: view.ads.map((ad) => series.clicks.get(ad)?.[at] ?? 0),
        }))
        .slice(-TABLE_ROWS_MAX)
        .reverse(),
    [series, view.ads],
  );
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be within reach of the keyboard
    <section class="table" aria-label="Valid clicks as a table" tabIndex={0}>
      <table>
        <thead>
          <tr>
            <th scope="col">From</th>
            {view.ads.map((ad) => (
              <th key={ad} scope="col" class="count" title={ad}>
                {ad}
              </th>
            ))}
            <th scope="col">Status</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ startMs, status, clicks }) => (
            <tr key={startMs} class={status.toLowerCase()}>
              <th scope="row">{(granularity === 'day' ? day : moment)(startMs, view.zone)}</th>
              {clicks.map((count, at) => (
                <td key={view.ads[at]} class="count">
                  {number(count)}
                </td>
              ))}
              <td>{status.toLowerCase()}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
