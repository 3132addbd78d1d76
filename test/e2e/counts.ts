/** Reads an installation's counts through the query service, and waits until everything sent is in them. */
import { type QueryClient, queryClient } from '../../src/adapters/grpc/clients.ts';
import type { AggregateRow__Output as AggregateRow } from '../../src/contract/generated/clickledger/v1/AggregateRow.ts';
import type { Metrics__Output as Metrics } from '../../src/contract/generated/clickledger/v1/Metrics.ts';
import type { Granularity } from '../../src/domain/granularity.ts';
import type { Installation } from './installation.ts';

const POLL_MS = 50;
const WAIT_MS = 60_000;
const ADS_A_QUERY = 20;

export const METRICS = [
  'gross_clicks',
  'clicks',
  'repeat_clicks',
  'general_invalid_clicks',
  'sophisticated_invalid_clicks',
  'defective_clicks',
  'test_clicks',
] as const;

export class Counts {
  readonly #client: QueryClient;

  constructor({ queryAddress }: Installation) {
    this.#client = queryClient(queryAddress);
  }

  close(): void {
    this.#client.close();
  }

  /** All rows of these ads. Waits while an owner is away: a partial answer is no answer to a test. */
  async rows(
    adIds: readonly string[],
    fromMs: number,
    toMs: number,
    granularity: Granularity,
  ): Promise<AggregateRow[]> {
    const rows: AggregateRow[] = [];
    for (let first = 0; first < adIds.length; first += ADS_A_QUERY) {
      const ad_ids = adIds.slice(first, first + ADS_A_QUERY);
      const answer = await this.#client.queryAggregates({
        ad_ids,
        from_ms: fromMs,
        to_ms: toMs,
        granularity,
      });
      if (answer.info?.partial) {
        await Bun.sleep(POLL_MS);
        first -= ADS_A_QUERY;
        continue;
      }
      rows.push(...answer.rows);
    }
    return rows;
  }

  /** Sums over these ads and days. */
  async totals(adIds: readonly string[], fromMs: number, toMs: number): Promise<Metrics> {
    const totals = Object.fromEntries(METRICS.map((name) => [name, 0])) as unknown as Metrics;
    for (const { metrics } of await this.rows(adIds, fromMs, toMs, 'DAY')) {
      for (const name of METRICS) totals[name] += metrics?.[name] ?? 0;
    }
    return totals;
  }

  /** Waits until everything that is on the streams now is in the answers. */
  async settled(adId: string, sinceMs: number): Promise<void> {
    const deadline = performance.now() + WAIT_MS;
    for (;;) {
      const answer = await this.#client
        .queryAggregates({ ad_ids: [adId], from_ms: 0, to_ms: 60_000, granularity: 'MINUTE' })
        .catch(() => undefined);
      if (answer?.info?.partial === false && answer.info.arrived_through_ms > sinceMs) return;
      if (performance.now() > deadline) throw new Error(`not settled: ${JSON.stringify(answer?.info)}`);
      await Bun.sleep(POLL_MS);
    }
  }
}
