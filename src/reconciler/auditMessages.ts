/** Audits' answers as messages of proto/clickledger/v1/audit.proto. */
import type { AuditedClick } from '../contract/generated/clickledger/v1/AuditedClick.ts';
import type { Receipt } from '../contract/generated/clickledger/v1/Receipt.ts';
import type { ReconcileJob } from '../contract/generated/clickledger/v1/ReconcileJob.ts';
import type { Restatement } from '../contract/generated/clickledger/v1/Restatement.ts';
import type { ShardProof } from '../contract/generated/clickledger/v1/ShardProof.ts';
import type { ShardRange } from '../contract/generated/clickledger/v1/ShardRange.ts';
import type { VerifyWindowResponse } from '../contract/generated/clickledger/v1/VerifyWindowResponse.ts';
import type { WindowCounts as CountsMessage } from '../contract/generated/clickledger/v1/WindowCounts.ts';
import type { WindowTotals } from '../domain/difference.ts';
import type { Position } from '../domain/position.ts';
import type { Job } from '../domain/reconcileJob.ts';
import type { ReplayRange } from '../domain/replayRange.ts';
import type { StoredRestatement } from '../domain/storedWindow.ts';
import { formatUuid } from '../domain/uuid7.ts';
import type { AuditedRecord } from './auditFold.ts';
import type { Explanation } from './differenceExplanation.ts';
import type { ShardShare, VerifiedWindow } from './windowAudit.ts';

/** Sums go as texts: wrong ones may be beyond 2^53, and the library takes them for 64 bits. */
export function countsMessage(sums: WindowTotals): CountsMessage {
  return {
    valid: `${sums.valid}`,
    repeat: `${sums.repeat}`,
    general_invalid: `${sums.givt}`,
    sophisticated_invalid: `${sums.sivt}`,
    defective: `${sums.defective}`,
    test: `${sums.test}`,
    fingerprint: `${hex64(sums.fingerprintHigh)}${hex64(sums.fingerprintLow)}`,
  };
}

function hex64(sum: bigint): string {
  return BigInt.asUintN(64, sum).toString(16).padStart(16, '0');
}

export function shareMessage(share: ShardShare): ShardProof {
  return { ...rangeMessage(share), arrived_through_ms: Math.floor(share.arrivedThroughMs) };
}

export function rangeMessage({ shard, incarnation, fromSequence, throughSequence }: ReplayRange): ShardRange {
  return {
    shard,
    stream_incarnation: incarnation,
    first_sequence: fromSequence,
    last_sequence: throughSequence,
  };
}

/** @param counted whether the counts reach beyond it */
export function clickMessage(record: AuditedRecord, counted: boolean): AuditedClick {
  const { position, storedMs, facts, minute, fate, countedAs, reason, repeats } = record;
  return {
    receipt: receiptMessage(position),
    click_id: facts === undefined ? '' : formatUuid(facts.clickId),
    impression_id: facts?.impressionId === undefined ? '' : formatUuid(facts.impressionId),
    ad_id: facts?.adId ?? '',
    event_time_ms: facts?.eventTimeMs ?? 0,
    received_ms: facts?.receivedMs ?? 0,
    stored_ms: Math.floor(storedMs),
    channel: facts === undefined ? 'CHANNEL_UNSPECIFIED' : `CHANNEL_${facts.channel}`,
    disposition: fate,
    reason,
    repeats: repeats === undefined ? null : receiptMessage(repeats),
    minute_ms: minute ?? 0,
    counted_as: countedAs,
    counted,
  };
}

function receiptMessage({ shard, incarnation, sequence, index }: Position): Receipt {
  return { shard, stream_incarnation: incarnation, stream_sequence: sequence, index };
}

export function verifiedMessage(verified: VerifiedWindow): VerifyWindowResponse {
  const { verdict, stored, recounted, late, explanation, records, shares } = verified;
  return {
    verdict,
    stored: countsMessage(stored),
    recounted: countsMessage(recounted),
    late,
    explanation: explanation?.kind ?? 'EXPLANATION_UNSPECIFIED',
    differing: (explanation?.records ?? []).map(({ record, storedAs }) => {
      return { click: clickMessage(record, true), stored_as: storedAs ?? 'DISPOSITION_UNSPECIFIED' };
    }),
    why: whyMessage(verified),
    shards: shares.map(shareMessage),
    records,
  };
}

function whyMessage({ verdict, explanation, late }: VerifiedWindow): string {
  if (explanation === undefined) return 'the stored counts are what the streams say';
  const undecided =
    'a reconcile that reads further back has taken late repeats out of this window: right is one as long. ';
  return `${verdict === 'UNDECIDED' ? undecided : ''}${explained(explanation, late)}`;
}

function explained({ kind }: Explanation, late: number): string {
  switch (kind) {
    case 'LATE_RECORDS':
      return `the difference is just the ${late} records that came again after the dedup horizon`;
    case 'ONE_MISSING':
      return 'one click of the streams is not in the stored counts';
    case 'ONE_TWICE':
      return 'one click of the streams is in the stored counts twice';
    case 'ONE_OTHERWISE':
      return 'one click is stored under another disposition';
    case 'NOT_TELLABLE':
      return 'only sums are stored, and no single click of the streams makes this difference: counts or fingerprint were altered, something was stored in the place of a click, or several clicks differ';
  }
}

export function restatementMessage(one: StoredRestatement): Restatement {
  return {
    id: one.id,
    ad_id: one.adId,
    minute_ms: one.minute,
    cause: one.cause,
    run: one.run ?? 0,
    before: countsMessage(one.before),
    after: countsMessage(one.after),
    late: one.late,
    rule_set_version: one.ruleSetVersion,
    streams: one.streams.map(rangeMessage),
    revision: one.revision ?? 0,
    booked_in_ms: one.bookedInMs ?? 0,
    note: one.note ?? '',
    applied_ms: one.appliedMs,
  };
}

export function jobMessage(job: Job): ReconcileJob {
  const { selection, apply, settle, note } = job.request;
  const elapsedMs = Math.max(1, (job.endedMs ?? job.nowMs) - job.startedMs);
  return {
    id: job.id,
    started_by: job.startedBy,
    request: {
      from_ms: selection.fromMs ?? 0,
      to_ms: selection.toMs ?? 0,
      ad_ids: [...(selection.adIds ?? [])],
      apply,
      settle,
      note,
    },
    state: job.state,
    records: job.records,
    records_expected: job.recordsExpected,
    records_per_second: Math.round((job.records * 1_000) / elapsedMs),
    started_ms: job.startedMs,
    ended_ms: job.endedMs ?? 0,
    result: job.result === undefined ? null : resultMessage(job.result),
    differences: job.differences.map((difference) => ({
      ad_id: difference.adId,
      minute_ms: difference.minute,
      before: countsMessage(difference.before),
      after: countsMessage(difference.after),
      late: difference.late,
      restated: difference.restated,
      undecided: difference.needsLongerReplay,
    })),
    problem: job.problem,
  };
}

function resultMessage(result: NonNullable<Job['result']>) {
  return {
    run: result.run ?? 0,
    shards: result.shards,
    windows: result.windows,
    differing: result.differing,
    restated: result.restated,
    undecided: result.undecided,
    late: result.late,
    shards_differing: result.shardsDiffering,
    rollups: result.rollups,
    rollups_differing: result.rollupsDiffering,
    rollups_restated: result.rollupsRestated,
    rollups_undecided: result.rollupsUndecided,
  };
}
