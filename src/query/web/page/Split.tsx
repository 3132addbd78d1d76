/** What became of the clicks: each disposition as a number and as a part of a bar. */
import type { Counts } from './api.ts';
import type { Series } from './series.ts';
import { RANGES, type View } from './view.ts';
import { number, percent } from './words.ts';

const DISPOSITIONS: readonly (readonly [keyof Counts, string, string])[] = [
  ['clicks', 'Valid', 'Billable'],
  ['repeatClicks', 'Repeat', 'A further click on an impression that has a valid one'],
  ['generalInvalidClicks', 'General invalid', 'Declared programs: known bots, prefetches, HEAD requests'],
  ['sophisticatedInvalidClicks', 'Sophisticated invalid', 'Only analysis shows that they are invalid'],
  ['defectiveClicks', 'Defective', 'Cannot be what they say: a wrong signature, impossible times'],
  ['testClicks', 'Test', 'Marked as tests'],
];

export function Split({ series: { totals }, view }: { series: Series; view: View }) {
  const all = DISPOSITIONS.reduce((sum, [name]) => sum + totals[name], 0);
  return (
    <section class="card split" aria-labelledby="split-title">
      <div class="hero">
        <h2 id="split-title">Valid clicks</h2>
        <p class="figure" data-testid="valid">
          {number(totals.clicks)}
        </p>
        <p class="note">
          of {number(totals.grossClicks)} gross in {RANGES[view.range].words}
        </p>
      </div>
      <div class="parts">
        <div class="bar" aria-hidden="true">
          {DISPOSITIONS.map(([name]) => (
            <i key={name} class={name} style={{ flexGrow: totals[name] }} />
          ))}
        </div>
        <dl>
          {DISPOSITIONS.map(([name, label, meaning]) => (
            <div key={name} title={meaning}>
              <dt>
                <i class={name} aria-hidden="true" />
                {label}
              </dt>
              <dd>
                {number(totals[name])} <small>{percent(totals[name], all)}</small>
              </dd>
            </div>
          ))}
        </dl>
      </div>
    </section>
  );
}
