/** What audits need of the outside; main.ts hands them the adapters. */
import type { Job, JobBegin, JobRequest, JobStarter } from '../domain/reconcileJob.ts';
import type { Reclassification } from '../domain/rulesInForce.ts';
import type { Routing, ShardStreams } from '../domain/shardStreams.ts';
import type {
  CheckpointedShard,
  RestatementSelection,
  StoredRestatement,
  StoredWindow,
} from '../domain/storedWindow.ts';

export interface AuditLedger {
  window(adId: string, minute: number): Promise<StoredWindow>;
  checkpoints(): Promise<readonly CheckpointedShard[]>;
  /** In the order in which they were made. */
  reclassifications(): Promise<readonly Reclassification[]>;
  /** The newest first. */
  restatements(selection: RestatementSelection, most: number): Promise<readonly StoredRestatement[]>;
}

export interface AuditRouting extends Routing {
  /** Reads what was appended since the last read. */
  read(): Promise<void>;
}

export interface AuditParts {
  readonly ledger: AuditLedger;
  readonly routing: AuditRouting;
  /** Streams for one replay; given `stop` where they cannot be read. */
  readonly openStreams: (stop: AbortController) => ShardStreams;
}

export interface JobLedger {
  begin(startedBy: JobStarter, request: JobRequest): Promise<JobBegin>;
  /** The one of this id, or the newest; undefined: there is none. */
  read(id: number | undefined): Promise<Job | undefined>;
  /** Says of runs whose process died that they are interrupted. */
  interruptDead(): Promise<void>;
}

export interface Log {
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}
