/**
 * What the query service has counted for the demo's ads since the demo started, and how fast it grows. What was
 * counted before, in the same minute, is taken off, so that it compares with what the demo sent.
 */
import type { QueryClient } from '../../adapters/grpc/clients.ts';
import type { AggregateInfo__Output } from '../../contract/generated/clickledger/v1/AggregateInfo.ts';
import { MINUTE_MS, minuteOf } from '../../domain/windowCounts.ts';

/** The rate is that of the last seconds: long enough not to jump, short enough to follow. */
const RATE_SPAN_MS = 20_000;

export interface AdCounts {
  readonly clicks: number;
  readonly gross: number;
  readonly repeat: number;
  readonly invalid: number;
  readonly defective: number;
  readonly test: number;
}

export interface LiveCounts {
  readonly byAd: ReadonlyMap<string, AdCounts>;
  /** Gross clicks a minute of each ad, lately. */
  readonly grossPerMinute: ReadonlyMap<string, number>;
  readonly info: AggregateInfo__Output | null;
}

const ZERO: AdCounts = { clicks: 0, gross: 0, repeat: 0, invalid: 0, defective: 0, test: 0 };

export function addAdCounts(one: AdCounts, other: AdCounts, sign: 1 | -1 = 1): AdCounts {
  return {
    clicks: one.clicks + sign * other.clicks,
    gross: one.gross + sign * other.gross,
    repeat: one.repeat + sign * other.repeat,
    invalid: one.invalid + sign * other.invalid,
    defective: one.defective + sign * other.defective,
    test: one.test + sign * other.test,
  };
}

export class LiveCounter {
  readonly #client: Pick<QueryClient, 'queryAggregates'>;
  readonly #adIds: string[];
  readonly #fromMs: number;
  #before: ReadonlyMap<string, AdCounts> = new Map();
  #history: { readonly atMs: number; readonly byAd: ReadonlyMap<string, AdCounts> }[] = [];

  constructor(client: Pick<QueryClient, 'queryAggregates'>, adIds: readonly string[], startMs: number) {
    this.#client = client;
    this.#adIds = [...adIds];
    // A minute earlier: the gateway's clock may be a little behind this one.
    this.#fromMs = minuteOf(startMs) - MINUTE_MS;
  }

  /** To be called once, before the first click is sent. */
  async start(nowMs: number): Promise<void> {
    this.#before = (await this.#ask(nowMs)).byAd;
  }

  async read(nowMs: number): Promise<LiveCounts> {
    const { byAd: all, info } = await this.#ask(nowMs);
    const byAd = new Map(
      [...all].map(([adId, counts]) => [adId, addAdCounts(counts, this.#before.get(adId) ?? ZERO, -1)]),
    );
    this.#history.push({ atMs: nowMs, byAd });
    this.#history = this.#history.filter(({ atMs }) => atMs >= nowMs - RATE_SPAN_MS);
    return { byAd, grossPerMinute: this.#rates(), info };
  }

  #rates(): Map<string, number> {
    const first = this.#history[0];
    const last = this.#history.at(-1);
    if (first === undefined || last === undefined || first === last) return new Map();
    const minutes = (last.atMs - first.atMs) / MINUTE_MS;
    return new Map(
      [...last.byAd].map(([adId, { gross }]) => [
        adId,
        (gross - (first.byAd.get(adId)?.gross ?? 0)) / minutes,
      ]),
    );
  }

  async #ask(nowMs: number): Promise<{ byAd: Map<string, AdCounts>; info: AggregateInfo__Output | null }> {
    const { rows, info } = await this.#client.queryAggregates({
      ad_ids: this.#adIds,
      from_ms: this.#fromMs,
      // Beyond the running minute, in case the gateway's clock is ahead of this one.
      to_ms: minuteOf(nowMs) + 2 * MINUTE_MS,
      // The widest rows: one an ad, two where a month ends meanwhile.
      granularity: 'MONTH',
    });
    const byAd = new Map<string, AdCounts>();
    for (const { ad_id, metrics } of rows) {
      if (metrics === null) continue;
      const counts: AdCounts = {
        clicks: metrics.clicks,
        gross: metrics.gross_clicks,
        repeat: metrics.repeat_clicks,
        invalid: metrics.general_invalid_clicks + metrics.sophisticated_invalid_clicks,
        defective: metrics.defective_clicks,
        test: metrics.test_clicks,
      };
      byAd.set(ad_id, addAdCounts(byAd.get(ad_id) ?? ZERO, counts));
    }
    return { byAd, info };
  }
}
