/** AuditService: checks the request, replays what is asked for, and says what it found. A replay ends with its caller. */
import { type ServerUnaryCall, type sendUnaryData, status } from '@grpc/grpc-js';
import { answer, type CallError, callError, isCallError } from '../contract/callErrors.ts';
import type { AuditServiceHandlers } from '../contract/generated/clickledger/v1/AuditService.ts';
import type { ReconcileJob } from '../contract/generated/clickledger/v1/ReconcileJob.ts';
import { type ReplayRange, UndecidedError } from '../domain/replayRange.ts';
import { StreamGapError } from '../domain/streamMessage.ts';
import { AuditTooLargeError, REPLAYS_MAX } from './auditLimits.ts';
import {
  clickMessage,
  countsMessage,
  jobMessage,
  rangeMessage,
  restatementMessage,
  shareMessage,
  verifiedMessage,
} from './auditMessages.ts';
import type { AuditParts, Log } from './auditPorts.ts';
import {
  type ClickAsked,
  readGetClick,
  readId,
  readListClicks,
  readListRestatements,
  readStartReconcile,
  readWindowAsked,
  writeIdToken,
} from './auditRequests.ts';
import { listClicks } from './clickListing.ts';
import { type FoundClick, findClick, findRecord } from './clickSearch.ts';
import type { JobRunner } from './jobRunner.ts';
import { writePlace } from './pageToken.ts';
import { proveWindow, verifyWindow } from './windowAudit.ts';

export interface AuditServiceParts {
  readonly audits: AuditParts;
  readonly runner: Pick<JobRunner, 'start' | 'read' | 'cancel'>;
  readonly log: Log;
  /** Given when the process goes down: replays end. */
  readonly draining: AbortSignal;
}

export function auditService({ audits, runner, log, draining }: AuditServiceParts): AuditServiceHandlers {
  const explain = (error: unknown) => explainError(error, log);
  const replays = new Replays(draining);
  const replayed = <Request, Answer>(
    call: ServerUnaryCall<Request, Answer>,
    callback: sendUnaryData<Answer>,
    work: (request: Request, stop: AbortController) => Promise<Answer>,
  ) => answer(callback, explain, () => replays.run(call, (stop) => work(call.request, stop)));
  const jobOf = async (id: number | undefined): Promise<ReconcileJob> => {
    const job = await runner.read(id);
    if (job !== undefined) return jobMessage(job);
    throw callError(
      status.NOT_FOUND,
      id === undefined ? 'there is no reconcile yet' : `there is no reconcile ${id}`,
    );
  };
  return {
    GetWindowProof: (call, callback) =>
      replayed(call, callback, async (request, stop) => {
        const { adId, minute } = readWindowAsked(request);
        const { stored, ruleSetVersion, shares } = await proveWindow(adId, minute, audits, stop);
        return {
          ad_id: adId,
          minute_ms: minute,
          counts: countsMessage(stored.counts),
          adjustments: countsMessage(stored.adjustments),
          status: stored.status,
          revision: stored.revision,
          rule_set_version: ruleSetVersion,
          shards: shares.map(shareMessage),
        };
      }),
    VerifyWindow: (call, callback) =>
      replayed(call, callback, async (request, stop) => {
        const { adId, minute } = readWindowAsked(request);
        return verifiedMessage(await verifyWindow(adId, minute, audits, stop));
      }),
    ListRestatements: (call, callback) =>
      answer(callback, explain, async () => {
        const { selection, size } = readListRestatements(call.request);
        const found = await audits.ledger.restatements(selection, size + 1);
        const page = found.slice(0, size);
        const last = page.at(-1);
        return {
          restatements: page.map(restatementMessage),
          next_page_token: found.length > size && last !== undefined ? writeIdToken(last.id) : '',
        };
      }),
    ListClicks: (call, callback) =>
      replayed(call, callback, async (request, stop) => {
        const { range, size, place } = readListClicks(request);
        const { records, next } = await listClicks(range, size, place, audits, stop);
        return {
          clicks: records.map((record) => clickMessage(record, true)),
          next_page_token: next === undefined ? '' : writePlace(next, range),
        };
      }),
    GetClick: (call, callback) =>
      replayed(call, callback, async (request, stop) => {
        const asked = readGetClick(request);
        const { records, searched } = await find(asked, audits, stop);
        return {
          records: records.map((record) => clickMessage(record, record.counted)),
          searched: searched.filter(holdsMessages).map(rangeMessage),
        };
      }),
    StartReconcile: (call, callback) =>
      answer(callback, explain, async () => {
        const started = await runner.start('API', readStartReconcile(call.request));
        if (started.kind === 'started') return { job: await jobOf(started.id) };
        const who = started.running === undefined ? 'another reconcile' : `reconcile ${started.running}`;
        throw callError(
          status.FAILED_PRECONDITION,
          `${who} is under way: right is to wait for its end (GetReconcile), or to end it (CancelReconcile)`,
        );
      }),
    GetReconcile: (call, callback) =>
      answer(callback, explain, async () => {
        const { id } = call.request;
        return { job: await jobOf(id === 0 ? undefined : readId(id)) };
      }),
    CancelReconcile: (call, callback) =>
      answer(callback, explain, async () => {
        const id = readId(call.request.id);
        const cancelled = await runner.cancel(id);
        const job = await jobOf(id);
        if (cancelled) return { job };
        throw callError(status.FAILED_PRECONDITION, `reconcile ${id} does not run here: it is ${job.state}`);
      }),
  };
}

async function find(asked: ClickAsked, audits: AuditParts, stop: AbortController): Promise<FoundClick> {
  if (asked.kind === 'record') {
    const { shard, sequence, index } = asked.position;
    const found = await findRecord(asked.position, audits, stop);
    if (found !== undefined) return found;
    throw callError(status.NOT_FOUND, `there is no record ${index} in message ${sequence} of shard ${shard}`);
  }
  const found = await findClick(asked.wanted, audits, stop);
  if (found.records.length > 0) return found;
  const ranges = found.searched
    .filter(holdsMessages)
    .map(({ shard, fromSequence, throughSequence }) => `${shard}: ${fromSequence} to ${throughSequence}`);
  const messages = ranges.length === 0 ? 'none' : ranges.join(', ');
  throw callError(
    status.NOT_FOUND,
    `no record of this click_id arrived from ${new Date(found.sinceMs).toISOString()} on; searched messages (shard: sequences): ${messages}`,
  );
}

function holdsMessages({ fromSequence, throughSequence }: ReplayRange): boolean {
  return fromSequence <= throughSequence;
}

/** Bounds how many replays are under way, and ends each with its caller. */
class Replays {
  readonly #draining: AbortSignal;
  #running = 0;

  constructor(draining: AbortSignal) {
    this.#draining = draining;
  }

  async run<Request, Answer>(
    call: ServerUnaryCall<Request, Answer>,
    work: (stop: AbortController) => Promise<Answer>,
  ): Promise<Answer> {
    if (this.#running >= REPLAYS_MAX) {
      throw callError(
        status.RESOURCE_EXHAUSTED,
        `${REPLAYS_MAX} replays are under way, as many as there may be: ask again when one has ended`,
      );
    }
    const stop = new AbortController();
    const ended = () => stop.abort(callError(status.CANCELLED, 'the caller has gone'));
    const drained = () => stop.abort(callError(status.UNAVAILABLE, 'the reconciler goes down: ask again'));
    call.on('cancelled', ended);
    this.#draining.addEventListener('abort', drained);
    this.#running += 1;
    try {
      return await work(stop);
    } catch (error) {
      // What it was stopped for says more than how it ended.
      throw stop.signal.aborted ? stop.signal.reason : error;
    } finally {
      this.#running -= 1;
      call.off('cancelled', ended);
      this.#draining.removeEventListener('abort', drained);
    }
  }
}

function explainError(error: unknown, log: Log): CallError {
  if (error instanceof UndecidedError || error instanceof StreamGapError)
    return callError(status.FAILED_PRECONDITION, error.message);
  if (error instanceof AuditTooLargeError) return callError(status.RESOURCE_EXHAUSTED, error.message);
  if (isCallError(error)) return error;
  log.error({ err: error }, 'an audit failed');
  return callError(status.UNAVAILABLE, 'the audit cannot be made now; ask again');
}
