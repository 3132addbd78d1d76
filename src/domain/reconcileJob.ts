/** Runs of the reconciler process, as they are asked for, kept and shown. */
import type { WindowDifference } from './difference.ts';
import type { WindowSelection } from './recount.ts';

export interface JobRequest {
  readonly selection: WindowSelection;
  readonly apply: boolean;
  readonly settle: boolean;
  /** Who asks, and why. */
  readonly note: string;
}

export type JobStarter = 'SCHEDULE' | 'API';

export interface JobProgress {
  readonly records: number;
  /** 0: not known yet. */
  readonly recordsExpected: number;
  /** The first of them. */
  readonly differences: readonly JobDifference[];
}

export interface JobDifference extends WindowDifference {
  readonly restated: boolean;
}

export interface JobResult {
  /** undefined: it wrote nothing. */
  readonly run: number | undefined;
  readonly shards: number;
  readonly windows: number;
  readonly differing: number;
  readonly restated: number;
  readonly undecided: number;
  readonly late: number;
  readonly shardsDiffering: number;
  readonly rollups: number;
  readonly rollupsDiffering: number;
  readonly rollupsRestated: number;
  readonly rollupsUndecided: number;
}

export type JobEnd =
  | { readonly state: 'DONE'; readonly result: JobResult }
  | { readonly state: 'FAILED' | 'CANCELLED' | 'INTERRUPTED'; readonly problem: string };

export interface Job extends JobProgress {
  readonly id: number;
  readonly startedBy: JobStarter;
  readonly request: JobRequest;
  readonly state: 'RUNNING' | JobEnd['state'];
  readonly startedMs: number;
  /** undefined: it runs. */
  readonly endedMs: number | undefined;
  /** undefined: it did not come to its end. */
  readonly result: JobResult | undefined;
  /** Why; empty where it did. */
  readonly problem: string;
  /** The database's clock when it was read, milliseconds since the Unix epoch. */
  readonly nowMs: number;
}

/** A run that has begun; nobody else begins one until it has ended or this process is gone. */
export interface OpenJob {
  readonly id: number;
  /** Given when others can no longer be kept from beginning one. */
  readonly lost: AbortSignal;
  progress(progress: JobProgress): Promise<void>;
  /** May be tried again after any error. */
  end(end: JobEnd, progress: JobProgress): Promise<void>;
  /** Lets others begin one. */
  close(): Promise<void>;
}

export type JobBegin =
  | { readonly kind: 'begun'; readonly job: OpenJob }
  /** undefined: it begins or ends at this very moment. */
  | { readonly kind: 'busy'; readonly running: number | undefined };
