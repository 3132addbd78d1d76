/**
 * Reading up to the second. The owners here are a little model: what is applied, what is stored, and the moments in
 * between at which a snapshot or an answer may fall.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LiveDelta, OwnedCheckpoint, StoredAggregates } from '../../src/domain/aggregates.ts';
import type { DispositionCounts } from '../../src/domain/windowCounts.ts';
import { AggregateReader } from '../../src/query/aggregateReader.ts';
import { NOON_MS } from '../support/clicks.ts';
import { question } from '../support/questions.ts';
import { noPast, UNSETTLED } from '../support/unsettled.ts';

const RANGE = { fromMs: NOON_MS, toMs: NOON_MS + 60_000 };
const NOTHING: DispositionCounts = { valid: 0, repeat: 0, givt: 0, sivt: 0, defective: 0, test: 0 };
/** Counts of different shards never mix: each has decimal places of its own. */
const WEIGHT = 1_000;

/** One shard: sequences up to `stored` are in the ledger, up to `applied` in its owner, which believes in `floor`. */
class ModelShard {
  owner = 'node-a';
  epoch = 1;
  applied = 0;
  stored = 0;
  floor = 0;

  /** The owner counts a message. */
  apply(): void {
    this.applied += 1;
  }

  /** The flush commits; the owner has not heard of it yet. */
  commit(): void {
    this.stored = this.applied;
  }

  /** The owner hears of it. */
  hear(): void {
    this.floor = this.stored;
  }

  /** Another owner takes over and begins at the checkpoint. */
  takeOver(): void {
    this.owner = this.owner === 'node-a' ? 'node-b' : 'node-a';
    this.restart();
  }

  /** The owner begins again at the checkpoint. */
  restart(): void {
    this.epoch += 1;
    this.applied = this.stored;
    this.floor = this.stored;
  }
}

class Model {
  readonly shards = [new ModelShard(), new ModelShard()];
  /** Stored of each shard, as of the last snapshot. */
  snapshot: number[] = [];
  /** What was applied of each shard when its owners answered, since the last snapshot. */
  readonly answered = new Map<number, number[]>();
  silent = new Set<string>();
  #step: () => void;

  /** @param step does something to the shards; called before every read */
  constructor(step: () => void = () => undefined) {
    this.#step = step;
  }

  readonly reader = new AggregateReader({
    readPast: noPast,
    readStored: () => {
      this.#step();
      const stored = this.#stored();
      this.snapshot = this.shards.map((shard) => shard.stored);
      this.answered.clear();
      this.#step();
      return Promise.resolve(stored);
    },
    askOwner: (owner) => {
      this.#step();
      const answer = this.silent.has(owner) ? undefined : this.#live(owner);
      this.#step();
      return Promise.resolve(answer);
    },
  });

  #stored(): StoredAggregates {
    const valid = this.shards.reduce((sum, { stored }, shard) => sum + stored * WEIGHT ** shard, 0);
    const checkpoints = this.shards.map(
      ({ owner, epoch, stored }, shard): OwnedCheckpoint => ({
        shard,
        owner,
        epoch,
        claim: `${owner} ${epoch}`,
        floor: stored,
        arrivedThroughMs: NOON_MS + stored,
      }),
    );
    return {
      ...UNSETTLED,
      rows: [{ group: ['ad-1'], bucketMs: NOON_MS, ...NOTHING, valid }],
      checkpoints,
    };
  }

  #live(owner: string): LiveDelta[] {
    return this.shards.flatMap((model, shard) => {
      if (model.owner !== owner) return [];
      this.answered.set(shard, [...(this.answered.get(shard) ?? []), model.applied]);
      const valid = (model.applied - model.floor) * WEIGHT ** shard;
      const rows = [{ adId: 'ad-1', minute: NOON_MS, ...NOTHING, valid }];
      const { epoch, floor, applied } = model;
      const claim = `${owner} ${epoch}`;
      return [{ shard, epoch, claim, floor, arrivedThroughMs: NOON_MS + applied, rows, rollups: [] }];
    });
  }

  async read(): Promise<{ valid: number; missing: number[]; arrivedThroughMs: number }> {
    const { rows, missingShards, arrivedThroughMs } = await this.reader.read(
      question(['ad-1'], RANGE, 'MINUTE'),
      10,
    );
    return { valid: rows[0]?.valid ?? 0, missing: missingShards, arrivedThroughMs };
  }
}

describe('an aggregate reader', () => {
  it('adds what is stored and what the owners have beyond it', async () => {
    const model = new Model();
    const [first, second] = model.shards as [ModelShard, ModelShard];
    for (let count = 0; count < 3; count++) first.apply();
    first.commit();
    first.hear();
    first.apply();
    second.apply();
    expect(await model.read()).toEqual({ valid: 4 + WEIGHT, missing: [], arrivedThroughMs: NOON_MS + 1 });
  });

  it('reads again where a flush came between the snapshot and the answer', async () => {
    let steps = 0;
    const model: Model = new Model(() => {
      steps += 1;
      // Between the first snapshot and the answer.
      if (steps === 2) {
        model.shards[0]?.commit();
        model.shards[0]?.hear();
      }
    });
    model.shards[0]?.apply();
    model.shards[0]?.apply();
    expect(await model.read()).toMatchObject({ valid: 2, missing: [] });
    expect(steps).toBeGreaterThan(4);
  });

  it('reads again where the owner took its shard up anew with the same floor', async () => {
    let steps = 0;
    const model: Model = new Model(() => {
      steps += 1;
      if (steps === 2) model.shards[0]?.restart();
    });
    model.shards[0]?.apply();
    expect(await model.read()).toMatchObject({ valid: 0, missing: [] });
    expect(steps).toBe(8);
  });

  it('says what is missing where an owner is silent, and how fresh the rest is', async () => {
    const model = new Model();
    const [first, second] = model.shards as [ModelShard, ModelShard];
    second.owner = 'node-b';
    for (const shard of [first, second]) {
      shard.apply();
      shard.apply();
      shard.commit();
      shard.hear();
      shard.apply();
    }
    model.silent.add('node-b');
    expect(await model.read()).toEqual({
      valid: 3 + 2 * WEIGHT,
      missing: [1],
      arrivedThroughMs: NOON_MS + 2,
    });
  });

  it('asks every owner once, and only of what was asked', async () => {
    const asked: [string, object][] = [];
    const checkpoint = (shard: number, owner: string | undefined): OwnedCheckpoint => ({
      shard,
      owner,
      epoch: 1,
      claim: 'claim-1',
      floor: 0,
      arrivedThroughMs: 5,
    });
    const reader = new AggregateReader({
      readPast: noPast,
      readStored: () =>
        Promise.resolve({
          ...UNSETTLED,
          rows: [],
          checkpoints: [checkpoint(0, 'a'), checkpoint(1, 'b'), checkpoint(2, 'a'), checkpoint(3, undefined)],
        }),
      askOwner: (owner, request) => {
        asked.push([owner, request]);
        return Promise.resolve(undefined);
      },
    });
    const merged = await reader.read(question(['ad-1'], RANGE, 'HOUR'), 10);
    expect(merged).toEqual({ ...UNSETTLED, rows: [], arrivedThroughMs: 5, missingShards: [0, 1, 2, 3] });
    expect(asked).toEqual([
      ['a', { adIds: ['ad-1'], ...RANGE }],
      ['b', { adIds: ['ad-1'], ...RANGE }],
    ]);
  });

  it('gives what is stored, and says that all is missing, where no answer ever matches', async () => {
    let reads = 0;
    const model: Model = new Model(() => {
      reads += 1;
      model.shards[0]?.apply();
      model.shards[0]?.commit();
      model.shards[0]?.hear();
    });
    const { valid, missing } = await model.read();
    expect(missing).toEqual([0, 1]);
    // Eight tries, each with a snapshot and an answer.
    expect(reads).toBe(32);
    expect(valid).toBe(29);
  });

  it('lets an error of PostgreSQL through: no rows is not an answer', async () => {
    const reader = new AggregateReader({
      readPast: noPast,
      readStored: () => Promise.reject(new Error('PostgreSQL is away')),
      askOwner: () => Promise.resolve([]),
    });
    await expect(reader.read(question(['ad-1'], RANGE, 'MINUTE'), 10)).rejects.toThrow('PostgreSQL is away');
  });

  it('counts nothing twice and leaves nothing out, wherever flushes and take-overs fall', async () => {
    const event = fc.tuple(
      fc.nat({ max: 1 }),
      fc.constantFrom('apply', 'apply', 'commit', 'hear', 'takeOver', 'nothing', 'nothing'),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(event, { maxLength: 8 }),
        fc.array(event, { maxLength: 14 }),
        async (before, during) => {
          const left = [...during];
          const act = ([shard, kind]: [number, string]) => {
            const model = world.shards[shard];
            if (kind === 'apply') model?.apply();
            else if (kind === 'commit') model?.commit();
            else if (kind === 'hear') model?.hear();
            else if (kind === 'takeOver') model?.takeOver();
          };
          const world = new Model(() => {
            const next = left.shift();
            if (next !== undefined) act(next);
            // A commit that nobody hears of would be in the way for ever; in the end every owner hears.
            else for (const shard of world.shards) shard.hear();
          });
          for (const one of before) act(one);
          const { valid, missing } = await world.read();
          for (const shard of [0, 1]) {
            const counted = Math.floor(valid / WEIGHT ** shard) % WEIGHT;
            // Just what is stored, where no owner's answer is in it; else exactly what an owner had applied when it
            // answered: two may answer, where one took over from the other meanwhile.
            if (missing.includes(shard)) expect(counted).toBe(world.snapshot[shard]);
            else expect(world.answered.get(shard)).toContain(counted);
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});
