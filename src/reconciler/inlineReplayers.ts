/** Shards replayed in this process: one computes while the other's next portion is on its way. */
import { Recount } from '../domain/recount.ts';
import type { ReplayedShard, Replayers, ReplayHooks, ReplayOrder } from '../domain/replayers.ts';
import { RejudgedRules } from '../domain/rulesInForce.ts';
import type { Routing, ShardStreams } from '../domain/shardStreams.ts';
import type { Spill } from './ports.ts';
import { replayShard } from './shardReplay.ts';

/** More than that gained nothing, and each has a fold. */
const LANES = 2;
/** Fewer records are replayed in a few seconds, of which starting processes takes a good part. */
const PROCESSES_FROM_RECORDS = 2_000_000;

export interface InlineParts {
  readonly streams: ShardStreams;
  readonly routing: Routing;
  readonly newSpill: (parts: number) => Spill;
  readonly partitionRecordsMax: number;
}

export class InlineReplayers implements Replayers {
  readonly lanes = LANES;
  readonly #parts: InlineParts;

  constructor(parts: InlineParts) {
    this.#parts = parts;
  }

  async replay(order: ReplayOrder, { add, onRecords, stop }: ReplayHooks): Promise<ReplayedShard> {
    const { range, recordsMost, selection, withDimensions, reclassifications } = order;
    const recount = new Recount(selection);
    const drain = async () => {
      const portion = recount.take();
      if (portion.windows.length > 0 || portion.rollups.length > 0) await add(portion);
    };
    const rules = new RejudgedRules(this.#parts.routing.table, reclassifications);
    const parts = { ...this.#parts, rules, recount, withDimensions, drain, onRecords, stop };
    const replayed = await replayShard(range, recordsMost, parts);
    await drain();
    return replayed;
  }

  async close(): Promise<void> {
    // There is nothing of its own.
  }
}

/** Much is replayed by processes, where there are processors for them; little in this one. */
export function replayersFor(
  recordsExpected: number,
  processes: number,
  inline: InlineParts,
  openProcesses: () => Replayers,
): Replayers {
  const isWorthIt = recordsExpected >= PROCESSES_FROM_RECORDS && processes >= LANES;
  return isWorthIt ? openProcesses() : new InlineReplayers(inline);
}
