/** Questions to owners: names of many ads go in several messages, and what comes back is one answer or none. */
import { expect, test } from 'vitest';
import type { LiveDelta, LiveRequest, OwnedCheckpoint } from '../../src/domain/aggregates.ts';
import { askOwners } from '../../src/query/ownerDeltas.ts';

const PLACE = { epoch: 3, claim: 'claim', floor: 10, arrivedThroughMs: 1 };
const CHECKPOINTS: OwnedCheckpoint[] = [0, 1].map((shard) => ({ shard, owner: `node-${shard}`, ...PLACE }));
const AD_IDS = Array.from({ length: 2_500 }, (_, index) => `ad-${index}`);
const RANGE = { fromMs: 0, toMs: 60_000 };

function answered(owner: string, { adIds }: LiveRequest): LiveDelta[] {
  const counts = { valid: 1, repeat: 0, givt: 0, sivt: 0, defective: 0, test: 0 };
  const rows = (adIds ?? ['']).map((adId) => ({ adId, minute: 0, ...counts }));
  return [{ shard: Number(owner.at(-1)), ...PLACE, rows, rollups: [] }];
}

test('every ad is asked of every owner once, a thousand in a message', async () => {
  const asked: number[] = [];
  const match = await askOwners(
    async (owner, request) => {
      asked.push(request.adIds?.length ?? 0);
      return answered(owner, request);
    },
    CHECKPOINTS,
    AD_IDS,
    RANGE,
  );
  expect(asked.sort()).toEqual([1_000, 1_000, 1_000, 1_000, 500, 500]);
  if (match.kind !== 'matched') throw new Error(match.kind);
  const ids = match.deltas.flatMap(({ shard, rows }) => rows.map(({ adId }) => `${shard} ${adId}`));
  expect(new Set(ids).size).toBe(2 * AD_IDS.length);
  expect(ids).toHaveLength(2 * AD_IDS.length);
});

test('an owner that leaves one of the messages unanswered has not answered', async () => {
  const match = await askOwners(
    async (owner, request) =>
      owner === 'node-1' && request.adIds?.includes('ad-2499') ? undefined : answered(owner, request),
    CHECKPOINTS,
    AD_IDS,
    RANGE,
  );
  expect(match).toMatchObject({ kind: 'matched', missing: [{ shard: 1 }] });
});
