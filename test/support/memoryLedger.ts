/**
 * PostgreSQL in memory, as owners and the query service use it. A flush really compares epoch, claim and floor,
 * moves the checkpoint and adds the delta in one step (I8); a claim raises the epoch and writes its word (I9).
 *
 * Nothing is ever settled in it.
 *
 * `snapshot` and `restore` are a database that goes back to an earlier state: counts and checkpoints together.
 */
import type { Ledger } from '../../src/actors/ports.ts';
import type { OwnedCheckpoint, StoredAggregates, StoredRow } from '../../src/domain/aggregates.ts';
import { Buckets } from '../../src/domain/buckets.ts';
import type { Checkpoint, Heartbeat, Hold, ShardToClaim } from '../../src/domain/checkpoint.ts';
import type { DeadLetter } from '../../src/domain/deadLetter.ts';
import type { RollupRow } from '../../src/domain/dimensions.ts';
import type { Flush, FlushOutcome } from '../../src/domain/flush.ts';
import type { Question } from '../../src/domain/question.ts';
import {
  addCounts,
  addDispositions,
  type DispositionCounts,
  emptyCounts,
  emptyDispositions,
  type WindowCounts,
} from '../../src/domain/windowCounts.ts';
import { Trouble } from './trouble.ts';
import { UNSETTLED } from './unsettled.ts';

interface ShardRow {
  incarnation: string;
  owner: string | undefined;
  leaseUntilMs: number;
  epoch: number;
  claim: string | undefined;
  floor: number;
  streamTimeMs: number;
  arrivedThroughMs: number;
  records: number;
  duplicates: number;
}

/** A flush's people united with those that were stored when they were read. */
type UnitedPeople = ReadonlyMap<string, Set<bigint>>;

/** A flush takes two requests: people are read, and written back with everything else. */
interface TwoStepLedger extends Ledger {
  /** It does not look where the checkpoint is: that the second step does must be enough. */
  unite(flush: Flush): Promise<UnitedPeople>;
  storeUnited(flush: Flush, united: UnitedPeople): Promise<FlushOutcome>;
}

interface State {
  /** Until when each node lives, milliseconds. */
  readonly nodes: Map<string, number>;
  readonly shards: Map<number, ShardRow>;
  /** By `minute ad_id`. */
  readonly counts: Map<string, WindowCounts>;
  /** By `kind quarter ad_id value value2`, with NUL between. */
  readonly rollups: Map<string, DispositionCounts>;
  /** Who was seen, by `shard hour ad_id`. */
  readonly people: Map<string, Set<bigint>>;
  readonly deadLetters: (DeadLetter & { readonly shard: number })[];
}

export class MemoryLedger {
  readonly trouble = new Trouble();
  readonly #clock: () => number;
  #state: State = {
    nodes: new Map(),
    shards: new Map(),
    counts: new Map(),
    rollups: new Map(),
    people: new Map(),
    deadLetters: [],
  };

  /** @param clock the database's, milliseconds since the Unix epoch */
  constructor(clock: () => number) {
    this.#clock = clock;
  }

  /** What the process `owner` sees of it. */
  of(owner: string, leaseMs: number): TwoStepLedger {
    const steps: Pick<TwoStepLedger, 'unite' | 'storeUnited'> = {
      unite: (flush) => this.trouble.around('unite', () => this.#unite(flush)),
      storeUnited: (flush, united) => this.trouble.around('store', () => this.#store(flush, united)),
    };
    return {
      ...steps,
      claim: (shards, most) => this.trouble.around('claim', () => this.#claim(owner, leaseMs, shards, most)),
      renew: (beats, lives) =>
        this.trouble.around('renew', () => {
          const nodes = this.#beat(owner, leaseMs, lives);
          return { held: this.#renew(leaseMs, beats), nodes };
        }),
      store: async (flush) => steps.storeUnited(flush, await steps.unite(flush)),
      release: (hold) => this.trouble.around('release', () => this.#release(hold)),
    };
  }

  /** Every window's counts by `minute ad_id`. */
  get counts(): ReadonlyMap<string, Readonly<WindowCounts>> {
    return this.#state.counts;
  }

  /** Every rollup's counts by `kind quarter ad_id value value2`, with NUL between. */
  get rollups(): ReadonlyMap<string, Readonly<DispositionCounts>> {
    return this.#state.rollups;
  }

  /** The people of all shards together, as hexadecimal digits in order, by `hour ad_id`. */
  get people(): Map<string, string[]> {
    const all = new Map<string, Set<bigint>>();
    for (const [key, keys] of this.#state.people) {
      const hourAndAd = key.slice(key.indexOf(' ') + 1);
      all.set(hourAndAd, (all.get(hourAndAd) ?? new Set()).union(keys));
    }
    return new Map([...all].map(([key, keys]) => [key, [...keys].map(digits).sort()]));
  }

  get deadLetters(): readonly (DeadLetter & { readonly shard: number })[] {
    return this.#state.deadLetters;
  }

  /** Until when each node lives, milliseconds. */
  get nodes(): ReadonlyMap<string, number> {
    return this.#state.nodes;
  }

  get shards(): ReadonlyMap<number, Readonly<ShardRow>> {
    return this.#state.shards;
  }

  /** The row of a shard. */
  shard(shard: number): Readonly<ShardRow> {
    const row = this.#state.shards.get(shard);
    if (row === undefined) throw new Error(`shard ${shard} has no row`);
    return row;
  }

  /** Up to where a shard is counted; 0 where nobody has claimed it yet. */
  floorOf(shard: number): number {
    return this.#state.shards.get(shard)?.floor ?? 0;
  }

  snapshot(): unknown {
    return structuredClone(this.#state);
  }

  /** Goes back to where it was at `snapshot`. */
  restore(snapshot: unknown): void {
    this.#state = structuredClone(snapshot as State);
  }

  /** Rows and checkpoints of one moment, as the query service reads them. */
  readStored(question: Question, rowsMax: number): Promise<StoredAggregates> {
    const { ads, range, width, timeZone } = question;
    const adIds = ads?.map(({ ad_id }) => ad_id) ?? [];
    const buckets = new Buckets(range, width, timeZone);
    return this.trouble.around('readStored', () => {
      const rows = new Map<string, StoredRow & WindowCounts>();
      for (const [key, counts] of this.#state.counts) {
        const space = key.indexOf(' ');
        const [minute, adId] = [Number(key.slice(0, space)), key.slice(space + 1)];
        if (!adIds.includes(adId) || minute < range.fromMs || minute >= range.toMs) continue;
        const bucketMs = buckets.startOf(minute);
        const row = rows.get(`${bucketMs} ${adId}`) ?? { group: [adId], bucketMs, ...emptyCounts() };
        addCounts(row, counts);
        rows.set(`${bucketMs} ${adId}`, row);
      }
      return { ...UNSETTLED, rows: [...rows.values()].slice(0, rowsMax), checkpoints: this.#checkpoints() };
    });
  }

  #checkpoints(): OwnedCheckpoint[] {
    return [...this.#state.shards].map(([shard, { owner, epoch, claim, floor, arrivedThroughMs }]) => ({
      shard,
      owner,
      epoch,
      claim,
      floor,
      arrivedThroughMs,
    }));
  }

  #claim(owner: string, leaseMs: number, shards: readonly ShardToClaim[], most: number): Checkpoint[] {
    const nowMs = this.#clock();
    for (const { shard, incarnation } of shards) {
      if (!this.#state.shards.has(shard)) this.#state.shards.set(shard, newRow(incarnation));
    }
    const isFree = (row: ShardRow, onlyTakeOver: boolean) =>
      row.owner === undefined || row.owner === owner ? !onlyTakeOver : row.leaseUntilMs < nowMs;
    const free = shards
      .map((wanted) => ({ ...wanted, row: this.shard(wanted.shard) as ShardRow }))
      .filter(({ row, onlyTakeOver }) => isFree(row, onlyTakeOver))
      .sort((left, right) => left.shard - right.shard);
    const own = free.filter(({ row }) => row.owner === owner);
    const others = free.filter(({ row }) => row.owner !== owner);
    const claimed: Checkpoint[] = [];
    for (const { shard, claim, row } of [...own, ...others].slice(0, most)) {
      row.owner = owner;
      row.epoch += 1;
      row.claim = claim;
      row.leaseUntilMs = nowMs + leaseMs;
      const { epoch, floor, streamTimeMs, arrivedThroughMs } = row;
      claimed.push({
        shard,
        incarnation: row.incarnation,
        epoch,
        claim,
        floor,
        streamTimeMs,
        arrivedThroughMs,
      });
    }
    return claimed;
  }

  #renew(leaseMs: number, beats: readonly Heartbeat[]): Set<number> {
    const held = new Set<number>();
    for (const { shard, epoch, claim, floor, flushingTo, arrivedThroughMs } of beats) {
      const row = this.#state.shards.get(shard);
      if (row === undefined || row.epoch !== epoch || row.claim !== claim) continue;
      if (row.floor !== floor && row.floor !== flushingTo) continue;
      row.leaseUntilMs = this.#clock() + leaseMs;
      row.arrivedThroughMs = Math.max(row.arrivedThroughMs, arrivedThroughMs);
      held.add(shard);
    }
    return held;
  }

  #unite(flush: Flush): UnitedPeople {
    const united = new Map<string, Set<bigint>>();
    for (const { adId, hour, keys } of flush.people) {
      const key = `${flush.shard} ${hour} ${adId}`;
      if (united.has(key)) throw new Error('a flush holds the people of the same ad and hour twice');
      united.set(key, keys.union(this.#state.people.get(key) ?? new Set()));
    }
    return united;
  }

  #store(flush: Flush, united: UnitedPeople): FlushOutcome {
    const row = this.#state.shards.get(flush.shard);
    if (row === undefined) return { kind: 'fenced', found: 'no row' };
    const sameOwner = row.epoch === flush.epoch && row.claim === flush.claim;
    if (!sameOwner || row.floor !== flush.floor) {
      if (sameOwner && row.floor === flush.newFloor) return { kind: 'stored' };
      const { owner, epoch, claim, floor } = row;
      return { kind: 'fenced', found: `owner ${owner}, epoch ${epoch}, claim ${claim}, floor ${floor}` };
    }
    const keys = flush.rows.map(({ adId, minute }) => `${minute} ${adId}`);
    if (new Set(keys).size !== keys.length) throw new Error('a flush holds two rows of the same window');
    row.floor = flush.newFloor;
    row.streamTimeMs = flush.streamTimeMs;
    row.arrivedThroughMs = Math.max(row.arrivedThroughMs, flush.arrivedThroughMs);
    row.records += flush.records;
    row.duplicates += flush.duplicates;
    for (const [index, { counts }] of flush.rows.entries()) {
      const key = keys[index] ?? '';
      const sum = this.#state.counts.get(key) ?? emptyCounts();
      addCounts(sum, counts);
      this.#state.counts.set(key, sum);
    }
    this.#addRollups(flush.rollups);
    for (const [key, people] of united) this.#state.people.set(key, people);
    for (const letter of flush.deadLetters) this.#state.deadLetters.push({ shard: flush.shard, ...letter });
    return { kind: 'stored' };
  }

  #addRollups(rollups: readonly RollupRow[]): void {
    const added = new Set<string>();
    for (const { kind, quarter, adId, value, value2, ...counts } of rollups) {
      const key = [kind, quarter, adId, value, value2].join('\0');
      if (added.has(key)) throw new Error('a flush holds two rows of the same rollup');
      added.add(key);
      const sum = this.#state.rollups.get(key) ?? emptyDispositions();
      addDispositions(sum, counts);
      this.#state.rollups.set(key, sum);
    }
  }

  /** Renews the node's row, or removes it; the names of those that live. */
  #beat(node: string, leaseMs: number, lives: boolean): string[] {
    const { nodes } = this.#state;
    const nowMs = this.#clock();
    if (lives) nodes.set(node, nowMs + leaseMs);
    else nodes.delete(node);
    return [...nodes].filter(([, untilMs]) => untilMs >= nowMs).map(([name]) => name);
  }

  #release({ shard, epoch, claim }: Hold): void {
    const row = this.#state.shards.get(shard);
    if (row?.epoch === epoch && row.claim === claim) row.owner = undefined;
  }
}

/** The 16 hexadecimal digits of a person. */
function digits(key: bigint): string {
  return key.toString(16).padStart(16, '0');
}

function newRow(incarnation: string): ShardRow {
  return {
    incarnation,
    owner: undefined,
    leaseUntilMs: 0,
    epoch: 0,
    claim: undefined,
    floor: 0,
    streamTimeMs: 0,
    arrivedThroughMs: 0,
    records: 0,
    duplicates: 0,
  };
}
