/**
 * Replays shards for a process that reconciles, one at a time, as it is told over its channel (replayMessages.ts). It ends
 * when the channel does: whoever began it needs nothing more of it, or is gone.
 */

import { tmpdir } from 'node:os';
import { SpillFiles } from '../../adapters/disk/spillFiles.ts';
import { readSettings } from '../../adapters/environment/settings.ts';
import { connectNats } from '../../adapters/nats/connection.ts';
import { RoutingLog } from '../../adapters/nats/routingLog.ts';
import { streamsOf } from '../../adapters/recount/recountParts.ts';
import type { FromReplayer, ToReplayer } from '../../adapters/recount/replayMessages.ts';
import { openArchive, withArchive } from '../../archive/config.ts';
import { errorText } from '../../domain/errorText.ts';
import type { RecountedPortion } from '../../domain/recount.ts';
import type { ReplayOrder } from '../../domain/replayers.ts';
import { InlineReplayers } from '../inlineReplayers.ts';
import { PARTITION_RECORDS_MAX } from '../shardReplay.ts';

const NAME = 'replayer';
/** Progress is told so often. */
const TELL_RECORDS = 10_000;

process.on('disconnect', () => process.exit(0));

const { natsUrl } = readSettings(process.env, ['natsUrl']);
const nats = await connectNats(natsUrl, NAME);
const manager = await nats.jetstreamManager();
const client = nats.jetstream();
const routing = new RoutingLog(client, manager);
const stop = new AbortController();
const reading = {
  nowMs: () => performance.now(),
  troubled: (error: unknown) => tell({ kind: 'troubled', message: errorText(error) }),
  stop,
};
const replayers = new InlineReplayers({
  streams: withArchive(streamsOf({ client, manager }, reading), openArchive(process.env)),
  routing,
  newSpill: (parts) => SpillFiles.create(tmpdir(), parts),
  partitionRecordsMax: PARTITION_RECORDS_MAX,
});
let stored: (() => void) | undefined;

process.on('message', (message: ToReplayer) => {
  if (message.kind === 'stored') stored?.();
  else void replay(message.order, message.routingSequence);
});
tell({ kind: 'ready' });

async function replay(order: ReplayOrder, routingSequence: number): Promise<void> {
  let records = 0;
  const tellRecords = () => {
    tell({ kind: 'records', records });
    records = 0;
  };
  const onRecords = (count: number) => {
    records += count;
    if (records >= TELL_RECORDS) tellRecords();
  };
  try {
    await routing.readThrough(routingSequence);
    const replayed = await replayers.replay(order, { add, onRecords, stop: stop.signal });
    tellRecords();
    tell({ kind: 'done', replayed });
  } catch (error) {
    // What it was stopped for says more than how it ended.
    const why: unknown = stop.signal.aborted ? stop.signal.reason : error;
    tell({ kind: 'failed', why: { name: why instanceof Error ? why.name : '', message: errorText(why) } });
  }
}

/** One portion at a time is on its way (I14). */
async function add(portion: RecountedPortion): Promise<void> {
  const taken = new Promise<void>((resolve) => {
    stored = resolve;
  });
  tell({ kind: 'recounted', portion });
  await taken;
}

function tell(message: FromReplayer): void {
  process.send?.(message);
}
