/**
 * Clicks of many values and days, and when each was accepted: what answers are held against while clicks flow. Nothing
 * that was accepted before an answer's `arrived_through_ms` may be missing in it, and nothing may be in it that was not sent.
 */
import { expect } from 'vitest';
import type { IngestClient } from '../../src/adapters/grpc/clients.ts';
import type { Random } from '../support/random.ts';

export const ADS = ['shirts', 'hats', 'shoes'];
const COUNTRIES = ['DE', 'AT', ''];
const DEVICES = ['phone', ''];
const PUBLISHERS = ['paper', 'radio', ''];
const PLACEMENTS = ['top', ''];
const CLICKS_A_REQUEST = 25;
const PEOPLE = 150;

export interface SentClick {
  readonly ad_id: string;
  readonly country: string;
  readonly device_type: string;
  readonly publisher_id: string;
  readonly placement_id: string;
  readonly user_id: string;
  readonly event_time_ms: number;
  /** Infinity: not accepted yet. */
  acceptedMs: number;
}

export type Field = 'ad_id' | 'country' | 'device_type' | 'publisher_id' | 'placement_id';

/** When an answer was asked for, and how fresh it says that it is. */
export interface AnswerTime {
  /** How many clicks had been sent. */
  readonly after: number;
  readonly arrivedThroughMs: number;
}

export class SentClicks {
  readonly #ingest: IngestClient;
  readonly #random: Random;
  readonly #all: SentClick[] = [];

  constructor(ingest: IngestClient, random: Random) {
    this.#ingest = ingest;
    this.#random = random;
  }

  get length(): number {
    return this.#all.length;
  }

  /** @param timeOf an event time for each */
  async send(timeOf: () => number): Promise<void> {
    const some = Array.from({ length: CLICKS_A_REQUEST }, () => this.#click(timeOf()));
    this.#all.push(...some);
    const clicks = some.map(({ acceptedMs: _, ...click }) => ({ ...click, click_id: Bun.randomUUIDv7() }));
    const { results } = await this.#ingest.batchIngestClicks({ source: 'test', clicks });
    expect(results.map(({ status }) => status)).toEqual(clicks.map(() => 'ACCEPTED'));
    for (const click of some) click.acceptedMs = Date.now();
  }

  /** Which surely arrived, and which may have, by the time of an answer. */
  around({ after, arrivedThroughMs }: AnswerTime): { sure: SentClick[]; all: readonly SentClick[] } {
    const sure = this.#all.slice(0, after).filter(({ acceptedMs }) => acceptedMs < arrivedThroughMs);
    return { sure, all: this.#all };
  }

  /** @param found counts by the values of the fields, with "|" between */
  hold(what: string, found: ReadonlyMap<string, number>, fields: readonly Field[], time: AnswerTime): void {
    const { sure, all } = this.around(time);
    const [least, most] = [countsBy(sure, fields), countsBy(all, fields)];
    for (const key of new Set([...most.keys(), ...found.keys()])) {
      const name = `${what} by ${fields.join('|')}: ${key}`;
      between(name, least.get(key) ?? 0, found.get(key) ?? 0, most.get(key) ?? 0);
    }
  }

  #click(event_time_ms: number): SentClick {
    const one = (of: readonly string[]) => of[this.#random.below(of.length)] ?? '';
    return {
      ad_id: one([...ADS, 'shirts', 'shirts']),
      country: one(COUNTRIES),
      device_type: one(DEVICES),
      publisher_id: one(PUBLISHERS),
      placement_id: one(PLACEMENTS),
      user_id: `person ${this.#random.below(PEOPLE)}`,
      event_time_ms,
      acceptedMs: Infinity,
    };
  }
}

export function between(name: string, least: number, found: number, most: number): void {
  expect(found >= least && found <= most, `${name}: ${least} <= ${found} <= ${most}`).toBe(true);
}

function countsBy(clicks: readonly SentClick[], fields: readonly Field[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const click of clicks) {
    const key = fields.map((field) => click[field]).join('|');
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}
