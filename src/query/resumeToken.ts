/**
 * Where a stream was: the follower's run, the version that was told, and which ads from when on. It holds nothing of what
 * was told, because the follower knows when each minute changed; another process, or another run, does not know it.
 */

export interface StreamPlace {
  /** A word of its own for each follower. */
  readonly run: string;
  readonly adIds: readonly string[];
  readonly fromMs: number;
  readonly version: number;
}

export function writeToken(place: StreamPlace): string {
  return `${place.version}.${digestOf(place)}`;
}

/** The version that was told; undefined: a token of other ads, of another follower, or none of ours. */
export function readToken(token: string, place: Omit<StreamPlace, 'version'>): number | undefined {
  const [, version, digest] = /^(\d{1,15})\.([0-9a-f]{64})$/.exec(token) ?? [];
  return digest === digestOf(place) ? Number(version) : undefined;
}

function digestOf({ run, adIds, fromMs }: Omit<StreamPlace, 'version'>): string {
  return new Bun.CryptoHasher('sha256').update(JSON.stringify([run, fromMs, adIds.toSorted()])).digest('hex');
}
