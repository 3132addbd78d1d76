/**
 * The routing table (I3): which shard a click belongs to, for ever. It is a list of entries, each from a routing
 * time on, read from a stream that nobody can edit; `route` is a pure function of it. `closed_until` only rises:
 * clicks whose times lie below it may be published, and new entries take effect at or after it, so no click is
 * ever routed by an entry that its publisher did not know.
 */
import type { ClickFacts, RoutedFacts } from './clickRecord.ts';
import { clickTimeMs, IDENTITY_HASH_BYTES, routingTimeMs, writeIdentityHash } from './identity.ts';
import { isFromTheFuture } from './judge.ts';
import { checkRuleSet, type RuleSet } from './ruleSet.ts';
import { uuid7TimeMs } from './uuid7.ts';

export type RoutingEntry =
  /** The first entry of every table: the installation's rules and its first number of shards. */
  | { readonly kind: 'created'; readonly shards: number; readonly rules: RuleSet }
  /** From `fromMs` on there are this many shards. */
  | { readonly kind: 'shards'; readonly shards: number; readonly fromMs: number }
  /** From `fromMs` on the ad's clicks are spread over `fanOut` shards. */
  | { readonly kind: 'fan_out'; readonly adId: string; readonly fanOut: number; readonly fromMs: number }
  /** Clicks whose click_id was made at `fromMs` or later are judged by this rule set. */
  | { readonly kind: 'rules'; readonly version: number; readonly fromMs: number }
  /** Clicks before this moment may be published. */
  | { readonly kind: 'closed_until'; readonly untilMs: number };

interface Step {
  readonly fromMs: number;
  readonly value: number;
}

/** How far ahead of what is needed `closed_until` is raised, so that it moves about once a minute. */
export const CLOSED_UNTIL_AHEAD_MS = 60_000;

/** Below every entry's moment, 0 included: where the first entry alone rules. */
const BEFORE_ALL_MS = -1;

const AD_SEED = 0x61642d726f757465n;
const identityBytes = new DataView(new ArrayBuffer(IDENTITY_HASH_BYTES));

/** The table as read up to one sequence of its stream. Grows only by `append`. */
export class RoutingTable {
  /** As the installation was made; of all later rule sets only the version is another. */
  readonly rules: RuleSet;
  #sequence: number;
  #closedUntilMs = 0;
  readonly #shards: Step[];
  readonly #fanOuts = new Map<string, Step[]>();
  /** When each fan_out entry takes effect, in their order. */
  readonly #fanOutMoments: number[] = [];
  /** Ads whose newest fan-out is more than one shard. */
  readonly #spreadAds = new Set<string>();
  readonly #versions: Step[] = [];

  private constructor(sequence: number, shards: number, rules: RuleSet) {
    this.#sequence = sequence;
    this.#shards = [{ fromMs: BEFORE_ALL_MS, value: shards }];
    this.rules = rules;
  }

  /** The table that its first entry makes. @throws Error where that is no `created` entry, or of unknown rules. */
  static create(sequence: number, entry: RoutingEntry): RoutingTable {
    if (entry.kind !== 'created')
      throw new Error(`the routing table starts with ${entry.kind}, it must start with created`);
    checkRuleSet(entry.rules.version);
    return new RoutingTable(sequence, entry.shards, entry.rules);
  }

  /** Sequence of the last entry that is in the table. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Clicks whose times lie below this moment may be published, milliseconds since the Unix epoch. */
  get closedUntilMs(): number {
    return this.#closedUntilMs;
  }

  /** How many shards the newest entry asks for. */
  get newestShards(): number {
    return this.#shards.at(-1)?.value ?? 1;
  }

  /** Takes in the next entry of the stream. @throws Error where it breaks the table's own rules. */
  append(sequence: number, entry: RoutingEntry): void {
    if (sequence <= this.#sequence) throw new Error(`routing entry ${sequence} came after ${this.#sequence}`);
    this.check(entry);
    switch (entry.kind) {
      case 'closed_until':
        this.#closedUntilMs = Math.max(this.#closedUntilMs, entry.untilMs);
        break;
      case 'shards':
        this.#appendStep(this.#shards, entry.fromMs, entry.shards);
        break;
      case 'rules':
        this.#appendStep(this.#versions, entry.fromMs, entry.version);
        break;
      case 'fan_out': {
        const steps = this.#fanOuts.get(entry.adId) ?? [];
        this.#appendStep(steps, entry.fromMs, entry.fanOut);
        this.#fanOuts.set(entry.adId, steps);
        this.#fanOutMoments.push(entry.fromMs);
        if (entry.fanOut > 1) this.#spreadAds.add(entry.adId);
        else this.#spreadAds.delete(entry.adId);
        break;
      }
    }
    this.#sequence = sequence;
  }

  /** @throws Error where the entry may not follow on this table. Nobody can take one back that stands on the stream. */
  check(entry: RoutingEntry): void {
    if (entry.kind === 'created') throw new Error('a routing table has no second created');
    if (entry.kind === 'closed_until') return;
    if (entry.kind === 'rules') checkRuleSet(entry.version);
    if (entry.fromMs < this.#closedUntilMs) {
      throw new Error(`a routing entry from ${entry.fromMs} on is below closed_until ${this.#closedUntilMs}`);
    }
  }

  #appendStep(steps: Step[], fromMs: number, value: number): void {
    // Two entries for the same moment: the later one rules, everywhere alike.
    steps.push({ fromMs: Math.max(fromMs, steps.at(-1)?.fromMs ?? 0), value });
  }

  /** The ad's newest fan-out, also where it is still to take effect. */
  newestFanOut(adId: string): { readonly fanOut: number; readonly fromMs: number } {
    const newest = this.#fanOuts.get(adId)?.at(-1);
    return { fanOut: newest?.value ?? 1, fromMs: newest?.fromMs ?? BEFORE_ALL_MS };
  }

  /** How many fan_out entries take effect after that moment. */
  fanOutsSince(sinceMs: number): number {
    return this.#fanOutMoments.filter((fromMs) => fromMs > sinceMs).length;
  }

  fanOutsOfAdSince(adId: string, sinceMs: number): number {
    return (this.#fanOuts.get(adId) ?? []).filter(({ fromMs }) => fromMs > sinceMs).length;
  }

  /** Ads whose newest fan-out is more than one shard. */
  get spreadAds(): ReadonlySet<string> {
    return this.#spreadAds;
  }

  /** The rule sets in the order of their adoption, each from a click_id's time on. */
  get adoptedRules(): readonly { readonly version: number; readonly fromMs: number }[] {
    return this.#versions.map(({ value, fromMs }) => ({ version: value, fromMs }));
  }

  versionAt(_adId: string, timeMs: number): number {
    return valueAt(this.#versions, timeMs, this.rules.version);
  }

  /** The rules that were in force at the click_id's own time (I11). */
  rulesOf(facts: ClickFacts): RuleSet {
    if (this.#versions.length === 0) return this.rules;
    const version = this.versionAt(facts.adId, uuid7TimeMs(facts.clickId));
    return version === this.rules.version ? this.rules : { ...this.rules, version };
  }

  /** Whether one of the click's UUIDs lies too far ahead of its receipt: such a click goes by the first entry. */
  isFromTheFuture(facts: RoutedFacts): boolean {
    return isFromTheFuture(facts, this.rules);
  }

  /** The `closed_until` that the click needs: beyond the times of both its UUIDs. */
  neededClosedUntilMs(facts: RoutedFacts): number {
    return Math.max(routingTimeMs(facts), clickTimeMs(facts)) + 1;
  }

  /** The click's shard. A click from the future goes by the first entry, so nobody can make it wait. */
  route(facts: RoutedFacts): number {
    const timeMs = this.isFromTheFuture(facts) ? BEFORE_ALL_MS : routingTimeMs(facts);
    const shards = valueAt(this.#shards, timeMs, 1);
    const fanOuts = this.#fanOuts.get(facts.adId);
    const fanOut = fanOuts === undefined ? 1 : valueAt(fanOuts, timeMs, 1);
    const home = homeShard(facts.adId, shards);
    return fanOut === 1 ? home : (home + subShard(facts, fanOut)) % shards;
  }

  /** The shards over which the ad's clicks of that routing time are spread; its home shard first. */
  shardsAt(adId: string, timeMs: number): number[] {
    const shards = valueAt(this.#shards, timeMs, 1);
    const fanOut = valueAt(this.#fanOuts.get(adId) ?? [], timeMs, 1);
    const home = homeShard(adId, shards);
    return Array.from({ length: Math.min(fanOut, shards) }, (_, sub) => (home + sub) % shards);
  }

  /** Every shard to which `route` may lead a click of the ad, whatever its times, in order. */
  shardsOf(adId: string): number[] {
    const fanOuts = [{ value: 1 }, ...(this.#fanOuts.get(adId) ?? [])];
    const found = new Set<number>();
    for (const { value: shards } of this.#shards) {
      const home = homeShard(adId, shards);
      for (const { value: fanOut } of fanOuts)
        for (let sub = 0; sub < Math.min(fanOut, shards); sub++) found.add((home + sub) % shards);
    }
    return [...found].sort((left, right) => left - right);
  }
}

function homeShard(adId: string, shards: number): number {
  return Number(Bun.hash.xxHash64(adId, AD_SEED) % BigInt(shards));
}

function valueAt(steps: readonly Step[], timeMs: number, before: number): number {
  for (let index = steps.length - 1; index >= 0; index--) {
    const step = steps[index];
    if (step !== undefined && step.fromMs <= timeMs) return step.value;
  }
  return before;
}

function subShard(facts: RoutedFacts, fanOut: number): number {
  writeIdentityHash(facts, identityBytes, 0);
  // The last 4 bytes: the fold's buckets go by the first ones.
  return identityBytes.getUint32(8) % fanOut;
}
