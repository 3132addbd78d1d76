/** Puts the adapters together: the archive of an installation, for whoever reads it and for whoever fills it. */
import type { JetStreamClient, JetStreamManager } from 'nats';
import type { Pool } from 'pg';
import { ArchiveFolder } from '../adapters/disk/archiveFolder.ts';
import { readSettings } from '../adapters/environment/settings.ts';
import { ArchivableStreams } from '../adapters/nats/archivableStreams.ts';
import { readSegment } from '../adapters/parquet/segmentReader.ts';
import { SegmentWriter } from '../adapters/parquet/segmentWriter.ts';
import { AdvisoryLock, ARCHIVE_LOCK } from '../adapters/postgres/advisoryLock.ts';
import { readCountedThrough } from '../adapters/postgres/countedThrough.ts';
import { ArchiveBucket } from '../adapters/s3/archiveBucket.ts';
import { systemTimers } from '../adapters/system/timers.ts';
import type { ShardStreams } from '../domain/shardStreams.ts';
import { ArchivedStreams } from './archivedStreams.ts';
import type { ArchiverParts, ArchiveStore, ArchiveWatcher, SegmentFormat } from './ports.ts';

const SEGMENT_MS = 3_600_000;
/** Clocks that are set by NTP step back by less. */
const SEAL_MARGIN_MS = 60_000;

const FORMAT: SegmentFormat = {
  write: (path, stream) => new SegmentWriter(path, stream),
  read: readSegment,
};

type Environment = Readonly<Record<string, string | undefined>>;

/** @throws SettingsError */
export function openArchive(environment: Environment): ArchiveStore {
  const { archive } = readSettings(environment, ['archive']);
  const [, bucket, path = ''] = /^s3:\/\/([^/]+)\/?(.*)$/.exec(archive) ?? [];
  if (bucket === undefined) return new ArchiveFolder(archive);
  const access = readSettings(environment, ['s3Endpoint', 's3Region', 's3AccessKey', 's3SecretKey']);
  return new ArchiveBucket({
    bucket,
    prefix: path === '' ? '' : `${path.replace(/\/+$/, '')}/`,
    endpoint: access.s3Endpoint,
    region: access.s3Region,
    accessKeyId: access.s3AccessKey,
    secretAccessKey: access.s3SecretKey,
  });
}

/** The shards' streams with what is in the archive of them before what the broker holds. */
export function withArchive(live: ShardStreams, store: ArchiveStore): ShardStreams {
  return new ArchivedStreams(live, store, FORMAT);
}

export interface ArchiverServers {
  readonly client: JetStreamClient;
  readonly manager: JetStreamManager;
  readonly pool: Pool;
}

/**
 * What `archiveSealed` needs, of an installation's servers and settings.
 * @param onDeliveryTrouble hears at every try why a delivery broke, and whether it is the first of an outage; what it
 * throws ends the reading
 * @throws SettingsError
 */
export function archiverParts(
  environment: Environment,
  { client, manager, pool }: ArchiverServers,
  store: ArchiveStore,
  watcher: ArchiveWatcher,
  onDeliveryTrouble: (shard: number, error: unknown, isFirst: boolean) => void,
): ArchiverParts {
  const { streamMaxAgeMs } = readSettings(environment, ['streamMaxAgeMs', 'dedupHorizonMs']);
  return {
    streams: new ArchivableStreams(client, manager, systemTimers, onDeliveryTrouble),
    store,
    format: FORMAT,
    takeLock: () => AdvisoryLock.take(pool, ARCHIVE_LOCK),
    countedThrough: () => readCountedThrough(pool),
    rules: { segmentMs: SEGMENT_MS, sealMarginMs: SEAL_MARGIN_MS, streamMaxAgeMs },
    watcher,
  };
}
