/** Archives once what is sealed in an installation's streams, and says what it does. */
import { type ArchivePass, archiveSealed } from '../../archive/archiveSealed.ts';
import { archiverParts } from '../../archive/config.ts';
import type { ArchiveWatcher } from '../../archive/ports.ts';
import { RetentionWaits } from '../../archive/removeOld.ts';
import { UndecidedError } from '../../domain/replayRange.ts';
import { StreamGapError } from '../../domain/streamMessage.ts';
import { formatCountOf } from '../format.ts';
import { withBroker, withLedger } from '../servers.ts';
import { print, printError } from '../terminal.ts';
import { archiveEnvironment, withInstallationArchive } from './installationArchive.ts';

const NAME = 'archive';
/** A person waits for it: a delivery that breaks so often in a row is not waited for any more. */
const DELIVERY_TRIES_MAX = 40;

/** undefined: another archiver is at work. */
export function runArchiver(stop: AbortSignal): Promise<ArchivePass | undefined> {
  let troubles = 0;
  const onDeliveryTrouble = (_shard: number, error: unknown, isFirst: boolean) => {
    troubles = isFirst ? 1 : troubles + 1;
    if (troubles >= DELIVERY_TRIES_MAX) throw error;
  };
  return withInstallationArchive((store) =>
    withLedger(NAME, ({ pool }) =>
      withBroker(NAME, ({ client, manager }) => {
        const servers = { client, manager, pool };
        return archiveSealed(
          archiverParts(archiveEnvironment(), servers, store, WATCHER, onDeliveryTrouble),
          stop,
        );
      }),
    ),
  );
}

const WATCHER: ArchiveWatcher = {
  archived: (shard, { file, records, bytes }) =>
    print(`shard ${shard}: ${file}, ${formatCountOf(records, 'record')}, ${formatCountOf(bytes, 'byte')}`),
  removed: (shard, from, through) =>
    print(`shard ${shard}: messages ${from} to ${through} are in the archive only now`),
  troubled: (shard, error) => printError(`shard ${shard}: ${explained(error)}`),
};

function explained(error: unknown): string {
  const isKnown =
    error instanceof UndecidedError || error instanceof StreamGapError || error instanceof RetentionWaits;
  if (isKnown) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
