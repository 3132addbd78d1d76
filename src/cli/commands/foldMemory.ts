/** `clickledger fold-memory clean`: removes from Redis what no stream needs any more. Never needed for right counts. */
import { Command } from 'commander';
import { readSettings } from '../../adapters/environment/settings.ts';
import { listShards, readStreamState } from '../../adapters/nats/clickStreams.ts';
import { connectNats } from '../../adapters/nats/connection.ts';
import { checkNats } from '../../adapters/nats/requirements.ts';
import { connectRedis } from '../../adapters/redis/foldMemory.ts';
import { checkRedis } from '../../adapters/redis/requirements.ts';
import { findStaleFolds, type StaleFold } from '../../adapters/redis/staleFolds.ts';
import { formatCountOf } from '../format.ts';
import { dataDirectory, instanceEnvironment } from '../stack/instance.ts';
import { print } from '../terminal.ts';

export function foldMemoryCommand(): Command {
  return new Command('fold-memory')
    .description("the actors' dedup memory in Redis")
    .addCommand(
      new Command('clean')
        .description(
          'remove the memories of shards whose stream is gone or was made anew, and those of an earlier format',
        )
        .option('--dry-run', 'only say what would be removed')
        .action(clean),
    );
}

async function clean({ dryRun = false }: { readonly dryRun?: boolean }): Promise<void> {
  const { natsUrl, redisUrl } = readSettings(instanceEnvironment(dataDirectory()), ['natsUrl', 'redisUrl']);
  const incarnations = await incarnationsOf(natsUrl);
  await checkRedis(redisUrl);
  const redis = connectRedis(redisUrl, () => undefined);
  try {
    // Commands fail before it is connected.
    await new Promise((resolve) => redis.once('ready', resolve));
    const stale = await findStaleFolds(redis, incarnations, !dryRun);
    for (const fold of stale) print(lineOf(fold, dryRun));
    if (stale.length === 0) print('nothing to remove: every memory belongs to a stream that is there');
  } finally {
    redis.disconnect();
  }
}

async function incarnationsOf(natsUrl: string): Promise<Map<number, string>> {
  await checkNats(natsUrl);
  const connection = await connectNats(natsUrl, 'fold-memory');
  try {
    const manager = await connection.jetstreamManager();
    const incarnations = new Map<number, string>();
    for (const shard of await listShards(manager))
      incarnations.set(shard, (await readStreamState(manager, shard)).incarnation);
    return incarnations;
  } finally {
    await connection.close();
  }
}

function lineOf({ shard, incarnation, outdated, keys }: StaleFold, dryRun: boolean): string {
  const format = outdated ? ', of an earlier format' : '';
  return `shard ${shard}, stream of ${incarnation}${format}: ${formatCountOf(keys, 'key')} ${dryRun ? 'would be removed' : 'removed'}`;
}
