/** Shares of the shards: they add up, they are even, and every node comes to the same. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { shardShare } from '../../src/domain/shardShare.ts';

const names = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 40 });

describe('a share', () => {
  it('is even, all shares make the whole, and the order in which nodes are named changes nothing', () => {
    fc.assert(
      fc.property(fc.nat(1_024), names, (shards, nodes) => {
        const shares = nodes.map((node) => shardShare(shards, nodes, node));
        expect(shares.reduce((sum, share) => sum + share, 0)).toBe(shards);
        expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(1);
        expect(nodes.map((node) => shardShare(shards, nodes.toReversed(), node))).toEqual(shares);
      }),
    );
  });

  it('gives what is left over to the first by name', () => {
    const share = (node: string) => shardShare(16, ['b', 'c', 'a'], node);
    expect([share('a'), share('b'), share('c')]).toEqual([6, 5, 5]);
  });

  it('of a node that does not live is nothing', () => {
    expect(shardShare(16, ['a'], 'b')).toBe(0);
    expect(shardShare(16, [], 'b')).toBe(0);
  });
});
