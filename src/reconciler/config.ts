/** The settings of the reconciler, and who replays for a run. */
import { tmpdir } from 'node:os';
import { SpillFiles } from '../adapters/disk/spillFiles.ts';
import { readSettings } from '../adapters/environment/settings.ts';
import { REPLAY_PROCESSES, ReplayProcesses } from '../adapters/recount/replayProcesses.ts';
import type { Replayers } from '../domain/replayers.ts';
import { type InlineParts, replayersFor } from './inlineReplayers.ts';
import { PARTITION_RECORDS_MAX } from './shardReplay.ts';

export function readConfig(environment: Readonly<Record<string, string | undefined>>) {
  return readSettings(environment, [
    'natsUrl',
    'databaseUrl',
    'host',
    'auditPort',
    'reconcilerMetricsPort',
    'reconcileIntervalMs',
    'settleGraceMs',
    'logLevel',
  ]);
}

/**
 * For a run: replayers for so many records.
 * @param environment of the processes that replay: it names the broker and the archive
 */
export function replayersOpener(
  { streams, routing }: Pick<InlineParts, 'streams' | 'routing'>,
  environment: Readonly<Record<string, string | undefined>>,
  troubled: (error: unknown) => void,
): (recordsExpected: number) => Replayers {
  const newSpill = (parts: number) => SpillFiles.create(tmpdir(), parts);
  const inline = { streams, routing, newSpill, partitionRecordsMax: PARTITION_RECORDS_MAX };
  return (recordsExpected) =>
    replayersFor(
      recordsExpected,
      REPLAY_PROCESSES,
      inline,
      () => new ReplayProcesses(environment, () => routing.table.sequence, troubled),
    );
}
