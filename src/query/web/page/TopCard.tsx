/** The largest values of a dimension. */
import { useTop } from './useTop.ts';
import { RANGES, type View } from './view.ts';
import { clock, moment, number, percent } from './words.ts';

interface TopCardParts {
  readonly title: string;
  readonly dimension: string;
  /** Whose clicks, where it is not the chosen ads'. */
  readonly of?: string;
  readonly view: View;
  readonly n: number;
  /** What a value is called. */
  readonly named?: (value: string) => string;
  readonly toggle?: (ad: string) => void;
}

export function TopCard({ title, dimension, of, view, n, named = (value) => value, toggle }: TopCardParts) {
  const known = useTop(dimension, view.range, of === undefined ? view.ads : undefined, n);
  const isNobody = of === undefined && view.ads.length === 0;
  const isShort = RANGES[view.range].minutes <= 1_440;
  return (
    <section class="card top" aria-label={title}>
      <h2>
        {title} <small>{of ?? 'chosen ads'}</small>
      </h2>
      {isNobody && <p class="empty">No ad is chosen.</p>}
      {known.kind === 'asking' && !isNobody && <p class="empty">…</p>}
      {known.kind === 'failed' && <p class="empty failed">{known.why}</p>}
      {known.kind === 'known' && known.top.entries.length === 0 && <p class="empty">No valid clicks yet.</p>}
      {known.kind === 'known' && known.top.entries.length > 0 && (
        <>
          <ol>
            {known.top.entries.map(({ value, clicks }) => {
              const words = value === '' ? 'Not known' : named(value);
              const index = view.ads.indexOf(value);
              return (
                <li key={value} class={value === '' ? 'unknown' : ''}>
                  {toggle === undefined ? (
                    <span class="name">
                      <span title={words}>{words}</span>
                    </span>
                  ) : (
                    <button
                      type="button"
                      class={`name ${index < 0 ? '' : `ad-${index}`}`}
                      aria-pressed={index >= 0}
                      onClick={() => toggle(value)}
                    >
                      <i aria-hidden="true" />
                      <span title={words}>{words}</span>
                    </button>
                  )}
                  <span class="count">{number(clicks)}</span>
                  <span class="share">{percent(clicks, known.top.total.clicks)}</span>
                  <i
                    class="track"
                    aria-hidden="true"
                    style={{ width: `${(100 * clicks) / Math.max(1, known.top.entries[0]?.clicks ?? 1)}%` }}
                  />
                </li>
              );
            })}
          </ol>
          <p class="note">
            valid clicks since {isShort ? clock(known.fromMs, view.zone) : moment(known.fromMs, view.zone)}
          </p>
        </>
      )}
    </section>
  );
}
