/** How many shards each actors process owns: as evenly as whole numbers allow. */

/**
 * The share of `node`: of S shards and N nodes the node of rank r gets floor(S / N), and one more where r < S mod N. The
 * rank goes by name, so that all nodes that see the same nodes come to shares that add up to S.
 * @param nodes the nodes that live, in any order; 0 where `node` is not among them
 */
export function shardShare(shards: number, nodes: readonly string[], node: string): number {
  if (!nodes.includes(node)) return 0;
  const rank = nodes.filter((other) => other < node).length;
  return Math.floor(shards / nodes.length) + (rank < shards % nodes.length ? 1 : 0);
}
