/** How final the numbers are. */
import type { Freshness, Status } from './api.ts';
import type { Series } from './series.ts';
import { RANGES, type View } from './view.ts';
import { moment, number } from './words.ts';

const STATUSES: readonly (readonly [Status, string, string])[] = [
  ['PROVISIONAL', 'Provisional', 'clicks may still arrive'],
  ['SETTLED', 'Settled', 'verified by a replay; a change would be a restatement'],
  ['FINAL', 'Final', 'closed for billing; never changes'],
];

interface FinalityParts {
  readonly series: Series;
  readonly view: View;
  readonly freshness: Freshness | undefined;
}

export function Finality({ series, view, freshness }: FinalityParts) {
  const count = (status: Status) => series.buckets.filter((bucket) => bucket.status === status).length;
  const buckets = series.buckets.length;
  const through: Readonly<Record<Status, string | null | undefined>> = {
    PROVISIONAL: undefined,
    SETTLED: freshness?.settledThrough,
    FINAL: freshness?.finalThrough,
  };
  return (
    <section class="card finality" aria-labelledby="finality-title">
      <h2 id="finality-title">How final</h2>
      <dl>
        {STATUSES.map(([status, label, meaning]) => (
          <div key={status}>
            <dt>
              <i class={status.toLowerCase()} aria-hidden="true" />
              {label}
            </dt>
            <dd>
              <b>{freshness === undefined ? '–' : number(count(status))}</b> of {number(buckets)}{' '}
              {RANGES[view.range].granularity}
              {buckets === 1 ? '' : 's'}
              {through[status] && <span>, through {moment(Date.parse(through[status]), view.zone)}</span>}
              <small>{meaning}</small>
            </dd>
          </div>
        ))}
      </dl>
      {freshness?.partial && (
        <p class="notice">
          {`Partial: shards ${freshness.missingShards.join(', ')} did not answer in time; their clicks since the last flush are missing.`}
        </p>
      )}
    </section>
  );
}
