/**
 * Floor of part b: what the nats client publishes with acknowledgements, one click a message, nothing counted. The
 * bytes are those of the records that the gateway writes; the window bounds what is not yet acknowledged.
 */
import type { JetStreamClient } from 'nats';
import { encodeClickBatch } from '../../../adapters/nats/clickBatchCodec.ts';
import type { BenchInstallation } from '../benchInstallation.ts';
import { type TimedRun, timedRun } from '../timedRun.ts';
import { encodeRecords, type Workload } from '../workload.ts';
import { floorSubject } from './floorStreams.ts';

export const RAW_PREFIX = 'RAW';
export const RAW_WINDOW = 1_024;

/** Until all are acknowledged. */
export function publishRaw(
  installation: BenchInstallation,
  client: JetStreamClient,
  workload: Workload,
): Promise<TimedRun> {
  const messages = encodeRecords(workload).map((record) => encodeClickBatch(1, [record]));
  let next = 0;
  const publishOn = async () => {
    for (let number = next++; number < messages.length; number = next++)
      await client.publish(floorSubject(RAW_PREFIX, number), messages[number]);
  };
  return timedRun(installation, messages.length, () =>
    Promise.all(Array.from({ length: RAW_WINDOW }, publishOn)),
  );
}
