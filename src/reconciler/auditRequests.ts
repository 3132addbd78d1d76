/** Reads what audits are asked for. @throws CallError that names the field, its value and what is right */
import { invalidArgument } from '../contract/callErrors.ts';
import type { GetClickRequest__Output } from '../contract/generated/clickledger/v1/GetClickRequest.ts';
import type { ListClicksRequest__Output } from '../contract/generated/clickledger/v1/ListClicksRequest.ts';
import type { ListRestatementsRequest__Output } from '../contract/generated/clickledger/v1/ListRestatementsRequest.ts';
import type { Receipt__Output } from '../contract/generated/clickledger/v1/Receipt.ts';
import type { StartReconcileRequest__Output } from '../contract/generated/clickledger/v1/StartReconcileRequest.ts';
import { AD_ID_BYTES_MAX, cut, fits, isId } from '../domain/limits.ts';
import type { Position } from '../domain/position.ts';
import type { JobRequest } from '../domain/reconcileJob.ts';
import { RESTATEMENT_CAUSES, type RestatementSelection } from '../domain/storedWindow.ts';
import { parseUuid7 } from '../domain/uuid7.ts';
import { MINUTE_MS } from '../domain/windowCounts.ts';
import {
  CLICKS_A_PAGE_DEFAULT,
  CLICKS_A_PAGE_MAX,
  JOB_ADS_MAX,
  NOTE_BYTES_MAX,
  RESTATEMENTS_A_PAGE_DEFAULT,
  RESTATEMENTS_A_PAGE_MAX,
} from './auditLimits.ts';
import type { ClickRange, ListingPlace } from './clickListing.ts';
import type { ClickWanted } from './clickSearch.ts';
import { readPlace } from './pageToken.ts';

const VALUE_SHOWN_BYTES_MAX = 200;
/** Before the year 10000: what PostgreSQL and dates can hold. */
const TIME_BEFORE_MS = Date.UTC(10_000, 0);

export interface WindowAsked {
  readonly adId: string;
  readonly minute: number;
}

export function readWindowAsked(request: {
  readonly ad_id: string;
  readonly minute_ms: number;
}): WindowAsked {
  return { adId: readAdId('ad_id', request.ad_id), minute: readMinute('minute_ms', request.minute_ms) };
}

export interface ListClicksAsked {
  readonly range: ClickRange;
  readonly size: number;
  readonly place: ListingPlace | undefined;
}

export function readListClicks(request: ListClicksRequest__Output): ListClicksAsked {
  const range = {
    adId: readAdId('ad_id', request.ad_id),
    fromMs: readMinute('from_ms', request.from_ms),
    toMs: readMinute('to_ms', request.to_ms),
  };
  refuseBackwards(range.fromMs, range.toMs);
  return {
    range,
    size: readPageSize(request.page_size, CLICKS_A_PAGE_MAX, CLICKS_A_PAGE_DEFAULT),
    place: request.page_token === '' ? undefined : readPlace(request.page_token, range),
  };
}

export interface RestatementsAsked {
  readonly selection: RestatementSelection;
  readonly size: number;
}

export function readListRestatements(request: ListRestatementsRequest__Output): RestatementsAsked {
  const cause = RESTATEMENT_CAUSES.find((known) => known === request.cause);
  if (cause === undefined && request.cause !== 'CAUSE_UNSPECIFIED')
    throw wrong('cause', request.cause, `one of ${RESTATEMENT_CAUSES.join(', ')}, or nothing`);
  const selection = {
    adId: request.ad_id === '' ? undefined : readAdId('ad_id', request.ad_id),
    fromMs: given(request.from_ms, (ms) => readMinute('from_ms', ms)),
    toMs: given(request.to_ms, (ms) => readMinute('to_ms', ms)),
    appliedFromMs: given(request.applied_from_ms, (ms) => readTime('applied_from_ms', ms)),
    appliedToMs: given(request.applied_to_ms, (ms) => readTime('applied_to_ms', ms)),
    cause,
    run: given(request.run, (run) => readNumber('run', run)),
    bookedInMs: given(request.booked_in_ms, (ms) => readMinute('booked_in_ms', ms)),
    beforeId: request.page_token === '' ? undefined : readIdToken(request.page_token),
  };
  return {
    selection,
    size: readPageSize(request.page_size, RESTATEMENTS_A_PAGE_MAX, RESTATEMENTS_A_PAGE_DEFAULT),
  };
}

export type ClickAsked =
  | { readonly kind: 'click'; readonly wanted: ClickWanted }
  | { readonly kind: 'record'; readonly position: Position };

export function readGetClick(request: GetClickRequest__Output): ClickAsked {
  const { click_id, receipt, ad_id, since_ms } = request;
  if ((click_id === '') === (receipt === null))
    throw invalidArgument('click_id and receipt: right is one of them');
  if (receipt !== null) {
    if (ad_id !== '' || since_ms !== 0)
      throw invalidArgument('ad_id and since_ms narrow a click_id: right with a receipt is neither');
    return { kind: 'record', position: readReceipt(receipt) };
  }
  const clickId = parseUuid7(click_id);
  if (clickId === undefined) throw wrong('click_id', click_id, 'a UUIDv7 in canonical text form');
  const adId = ad_id === '' ? undefined : readAdId('ad_id', ad_id);
  const sinceMs = given(since_ms, (ms) => readTime('since_ms', ms));
  return { kind: 'click', wanted: { clickId, adId, sinceMs } };
}

export function readStartReconcile(request: StartReconcileRequest__Output): JobRequest {
  const { from_ms, to_ms, ad_ids, apply, settle, note } = request;
  const toMs = given(to_ms, (ms) => readMinute('to_ms', ms));
  const fromMs = given(from_ms, (ms) => readMinute('from_ms', ms));
  if (toMs !== undefined && fromMs === undefined)
    throw wrong('from_ms', '0', 'given where to_ms is, or both 0 for every minute');
  if (toMs !== undefined && fromMs !== undefined) refuseBackwards(fromMs, toMs);
  if (ad_ids.length > JOB_ADS_MAX)
    throw invalidArgument(`ad_ids must have at most ${JOB_ADS_MAX} entries, it has ${ad_ids.length}`);
  for (const adId of ad_ids) readAdId('ad_ids', adId);
  if (!fits(note, NOTE_BYTES_MAX) || note.includes('\0'))
    throw wrong('note', note, `at most ${NOTE_BYTES_MAX} bytes without NUL`);
  const adIds = ad_ids.length === 0 ? undefined : new Set(ad_ids);
  return { selection: { fromMs, toMs, adIds }, apply, settle, note };
}

/** Of runs: 1 and more. */
export function readId(id: number): number {
  if (id === 0) throw wrong('id', '0', 'the id of a reconcile, from 1 on');
  return readNumber('id', id);
}

/** Gives the restatements before this one. */
export function writeIdToken(id: number): string {
  return Buffer.from(`${id}`).toString('base64url');
}

function readIdToken(token: string): number {
  const id = Number(Buffer.from(token, 'base64url').toString());
  if (Number.isSafeInteger(id) && id > 0 && writeIdToken(id) === token) return id;
  throw wrong('page_token', token, 'a next_page_token of ListRestatements, or empty');
}

function readReceipt({ shard, stream_incarnation, stream_sequence, index }: Receipt__Output): Position {
  if (stream_incarnation === '')
    throw wrong('receipt.stream_incarnation', '', "that of the receipt: the stream's time of creation");
  const sequence = readNumber('receipt.stream_sequence', stream_sequence);
  if (sequence === 0) throw wrong('receipt.stream_sequence', '0', 'a sequence, from 1 on');
  return { shard, incarnation: stream_incarnation, sequence, index };
}

function given<T>(value: number, read: (value: number) => T): T | undefined {
  return value === 0 ? undefined : read(value);
}

function readAdId(field: string, adId: string): string {
  if (isId(adId, AD_ID_BYTES_MAX)) return adId;
  throw wrong(field, adId, `1 to ${AD_ID_BYTES_MAX} bytes without control characters`);
}

function readTime(field: string, ms: number): number {
  if (Number.isSafeInteger(ms) && ms >= 0 && ms < TIME_BEFORE_MS) return ms;
  throw wrong(field, `${ms}`, 'milliseconds since 1970, before the year 10000');
}

function readMinute(field: string, ms: number): number {
  if (Number.isSafeInteger(ms) && ms >= 0 && ms < TIME_BEFORE_MS && ms % MINUTE_MS === 0) return ms;
  const right = `milliseconds since 1970, before the year 10000, on a whole minute (a multiple of ${MINUTE_MS})`;
  throw wrong(field, `${ms}`, right);
}

function readNumber(field: string, value: number): number {
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw wrong(field, `${value}`, 'below 2^53');
}

function readPageSize(size: number, most: number, usual: number): number {
  if (size > most) throw wrong('page_size', `${size}`, `at most ${most}`);
  return size === 0 ? usual : size;
}

function refuseBackwards(fromMs: number, toMs: number): void {
  if (toMs <= fromMs) throw wrong('to_ms', `${toMs}`, `after from_ms ${fromMs}`);
}

function wrong(field: string, value: string, right: string) {
  const shown = JSON.stringify(cut(value, VALUE_SHOWN_BYTES_MAX));
  return invalidArgument(`${field} ${shown} is wrong: it must be ${right}`);
}
