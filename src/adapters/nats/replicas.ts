/** On how many servers of a NATS cluster a stream is. */
import { type JetStreamManager, NatsError, type StreamInfo, type StreamUpdateConfig } from 'nats';

/** No cluster; too few servers in it. */
const REFUSED = [10_074, 10_005];

class NoClusterError extends Error {}

/** Whether it says that these servers cannot hold so many. */
export function isReplicasRefusal(error: unknown): error is Error {
  if (error instanceof NoClusterError) return true;
  return error instanceof NatsError && REFUSED.includes(error.api_error?.err_code ?? 0);
}

/** Never lowers it: somebody may have given the stream more by hand. @param others settings that are given again */
export async function raiseReplicas(
  manager: JetStreamManager,
  { config, cluster }: StreamInfo,
  replicas: number,
  others: Partial<StreamUpdateConfig> = {},
): Promise<void> {
  if (config.num_replicas >= replicas) return;
  // A server alone takes the number, and copies nothing.
  if (cluster?.name === undefined) throw new NoClusterError('the server is in no cluster');
  await manager.streams.update(config.name, { ...others, num_replicas: replicas });
}
