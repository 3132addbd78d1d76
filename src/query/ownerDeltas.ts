/** Asks the owners of a snapshot's shards for what they have counted beyond it, and holds their answers against it. */
import type { LiveDelta, LiveRequest, OwnedCheckpoint } from '../domain/aggregates.ts';
import { type Match, matchDeltas } from './mergedAggregates.ts';
import type { AskOwner } from './ports.ts';

/** Names of more do not surely fit one message to an owner. */
const ADS_A_REQUEST_MAX = 1_000;

/** @param adIds undefined: all ads together */
export async function askOwners(
  askOwner: AskOwner,
  checkpoints: readonly OwnedCheckpoint[],
  adIds: readonly string[] | undefined,
  asked: Omit<LiveRequest, 'adIds'>,
): Promise<Match> {
  const requests = portionsOf(adIds).map((portion): LiveRequest => ({ adIds: portion, ...asked }));
  const owners = new Set<string>();
  for (const { owner } of checkpoints) if (owner !== undefined) owners.add(owner);
  const answers = await Promise.all(
    [...owners].map(async (owner) => {
      const parts = await Promise.all(requests.map((request) => askOwner(owner, request)));
      const deltas: LiveDelta[] = [];
      for (const part of parts) {
        if (part === undefined) return [owner, undefined] as const;
        deltas.push(...part);
      }
      return [owner, deltas] as const;
    }),
  );
  return matchDeltas(checkpoints, new Map(answers), requests.length);
}

function portionsOf(adIds: readonly string[] | undefined): (readonly string[] | undefined)[] {
  if (adIds === undefined) return [undefined];
  const portions: (readonly string[])[] = [];
  for (let first = 0; first < adIds.length; first += ADS_A_REQUEST_MAX)
    portions.push(adIds.slice(first, first + ADS_A_REQUEST_MAX));
  return portions;
}
