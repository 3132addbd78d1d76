/**
 * What must come out, found the plain way: whole texts as keys, everything remembered, no hash, no route and no judge
 * of the code that is examined. It looks at what stands on the streams and at what was answered.
 */
import { decodeClickBatch, decodeClickRecord } from '../../src/adapters/nats/clickBatchCodec.ts';
import type { ClickFacts, ClickRecord } from '../../src/domain/clickRecord.ts';
import type { RuleSet } from '../../src/domain/ruleSet.ts';
import type { StreamMessage } from '../../src/domain/streamMessage.ts';
import {
  countClick,
  type Disposition,
  type DispositionCounts,
  emptyCounts,
  type WindowCounts,
} from '../../src/domain/windowCounts.ts';

export interface ShardExpectation {
  records: number;
  duplicates: number;
  deadLetters: number;
}

export interface Expectation {
  /** By `minute ad_id`. */
  readonly counts: Map<string, WindowCounts>;
  /** By `kind quarter ad_id value value2`, with NUL between. */
  readonly rollups: Map<string, DispositionCounts>;
  /** Who was seen in valid and repeat clicks, by `hour ad_id`: what stands for them, as hexadecimal digits. */
  readonly people: Map<string, Set<string>>;
  readonly shards: Map<number, ShardExpectation>;
  /** Every click_id on the streams, as hexadecimal digits. */
  readonly clickIds: Set<string>;
  /** Identities that stand on two shards. */
  readonly split: string[];
}

export function expectationOf(
  streams: ReadonlyMap<number, readonly StreamMessage[]>,
  rules: RuleSet,
): Expectation {
  const expectation: Expectation = {
    counts: new Map(),
    rollups: new Map(),
    people: new Map(),
    shards: new Map(),
    clickIds: new Set(),
    split: [],
  };
  const shardOf = new Map<string, number>();
  for (const [shard, messages] of streams) {
    const sums: ShardExpectation = { records: 0, duplicates: 0, deadLetters: 0 };
    expectation.shards.set(shard, sums);
    const memory = new Memory(Math.floor(rules.dedupHorizonMs / 1000));
    for (const { bytes, timestampMs } of messages) {
      memory.advance(Math.floor(timestampMs / 1000));
      for (const { facts, bytes: record } of decodeClickBatch(bytes)?.records ?? [NO_RECORD]) {
        sums.records += 1;
        if (facts === undefined) {
          sums.deadLetters += 1;
          continue;
        }
        const identity = identityOf(facts);
        const known = shardOf.get(identity) ?? shard;
        if (!isFromTheFuture(facts, rules)) {
          if (known !== shard) expectation.split.push(identity);
          shardOf.set(identity, known);
        }
        expectation.clickIds.add(facts.clickId.toHex());
        const counted = countOne(expectation.counts, memory, identity, facts, rules);
        if (counted === undefined) sums.duplicates += 1;
        else {
          const click = decodeClickRecord(record);
          if (click === undefined) throw new Error('a click that was counted cannot be read');
          countDimensions(expectation.rollups, click, counted);
          seePerson(expectation.people, click, counted);
        }
      }
    }
  }
  return expectation;
}

const NO_RECORD = { facts: undefined, bytes: new Uint8Array(0) };

interface Counted {
  readonly disposition: Disposition;
  readonly bookedMs: number;
}

/** undefined: a duplicate, which is in no window. */
function countOne(
  counts: Map<string, WindowCounts>,
  memory: Memory,
  identity: string,
  facts: ClickFacts,
  rules: RuleSet,
): Counted | undefined {
  const refused = refusalOf(facts, rules);
  const seen = memory.see(identity, facts.clickId.toHex(), refused === undefined);
  if (seen.click) return undefined;
  const disposition = refused ?? (seen.identity ? 'REPEAT' : 'VALID');
  const lateMs = facts.receivedMs - facts.eventTimeMs;
  const isBelievable = lateMs >= -rules.maxFutureSkewMs && lateMs <= rules.maxEventAgeMs;
  const bookedMs = isBelievable ? facts.eventTimeMs : facts.receivedMs;
  const key = `${bookedMs - (bookedMs % 60_000)} ${facts.adId}`;
  const window = counts.get(key) ?? emptyCounts();
  countClick(window, facts.clickId, disposition);
  counts.set(key, window);
  return { disposition, bookedMs };
}

/** Each kind with its values in a few words; simulated referrers are whole URLs. */
function countDimensions(
  rollups: Map<string, DispositionCounts>,
  click: ClickRecord,
  { disposition, bookedMs }: Counted,
): void {
  const site = click.referrer === '' ? '' : new URL(click.referrer).hostname.replace('www.', '');
  const kinds: readonly (readonly [kind: number, value: string, value2?: string])[] = [
    [1, click.country, click.deviceType],
    [2, click.publisherId, click.country],
    [3, click.region],
    [4, click.os],
    [5, click.browser],
    [6, site],
    [7, click.placementId],
    [8, click.creativeId],
  ];
  for (const [kind, value, value2 = ''] of kinds) {
    if (value === '' && value2 === '') continue;
    const key = [kind, bookedMs - (bookedMs % 900_000), click.adId, value, value2].join('\0');
    const counts = rollups.get(key) ?? { valid: 0, repeat: 0, givt: 0, sivt: 0, defective: 0, test: 0 };
    counts[disposition.toLowerCase() as keyof DispositionCounts] += 1;
    rollups.set(key, counts);
  }
}

function seePerson(
  people: Map<string, Set<string>>,
  { adId, userKey }: ClickRecord,
  { disposition, bookedMs }: Counted,
): void {
  if (!['VALID', 'REPEAT'].includes(disposition) || userKey.length === 0) return;
  const key = `${bookedMs - (bookedMs % 3_600_000)} ${adId}`;
  people.set(key, (people.get(key) ?? new Set()).add(userKey.toHex().slice(0, 16)));
}

function identityOf({ adId, impressionId, clickId }: ClickFacts): string {
  return impressionId === undefined ? `${adId} click ${clickId.toHex()}` : `${adId} ${impressionId.toHex()}`;
}

/** The rules in a few words; undefined: the content is billable. Simulated clicks are tests, or of ordinary browsers. */
function refusalOf(facts: ClickFacts, rules: RuleSet): Disposition | undefined {
  const { clickId, impressionId, eventTimeMs, receivedMs, test } = facts;
  const [clickMs, impressionMs] = [timeOf(clickId), timeOf(impressionId ?? clickId)];
  const isPossible =
    Math.max(clickMs, impressionMs, eventTimeMs) <= receivedMs + rules.maxFutureSkewMs &&
    eventTimeMs >= receivedMs - rules.maxEventAgeMs &&
    impressionMs >= clickMs - rules.dedupHorizonMs &&
    impressionMs <= clickMs + rules.maxFutureSkewMs;
  if (!isPossible) return 'DEFECTIVE';
  return test ? 'TEST' : undefined;
}

/** Such a copy of a click is defective, and may stand on another shard than one that was received later (I3). */
function isFromTheFuture({ clickId, impressionId, receivedMs }: ClickFacts, rules: RuleSet): boolean {
  return Math.max(timeOf(clickId), timeOf(impressionId ?? clickId)) > receivedMs + rules.maxFutureSkewMs;
}

function timeOf(uuid: Uint8Array): number {
  return Number.parseInt(uuid.toHex().slice(0, 12), 16);
}

/** Last-seen times, in seconds of stream time. */
class Memory {
  readonly #horizonSeconds: number;
  readonly #identities = new Map<string, number>();
  readonly #clicks = new Map<string, number>();
  #nowSeconds = 0;

  constructor(horizonSeconds: number) {
    this.#horizonSeconds = horizonSeconds;
  }

  advance(seconds: number): void {
    this.#nowSeconds = Math.max(this.#nowSeconds, seconds);
  }

  see(identity: string, click: string, isBillable: boolean): { identity: boolean; click: boolean } {
    const key = `${identity} ${click}`;
    const seen = {
      identity: this.#isRecent(this.#identities.get(identity)),
      click: this.#isRecent(this.#clicks.get(key)),
    };
    this.#clicks.set(key, this.#nowSeconds);
    if (isBillable) this.#identities.set(identity, this.#nowSeconds);
    return seen;
  }

  #isRecent(seconds: number | undefined): boolean {
    return seconds !== undefined && seconds >= this.#nowSeconds - this.#horizonSeconds;
  }
}
