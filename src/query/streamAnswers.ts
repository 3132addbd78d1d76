/**
 * StreamAggregates: everything first, then minutes that changed, at most a message a second. A slow reader is told what
 * is newest when it reads again: a stream keeps the version that it has told, and nothing else (I14).
 */
import { status } from '@grpc/grpc-js';
import { callError, invalidArgument } from '../contract/callErrors.ts';
import type { AggregateRow } from '../contract/generated/clickledger/v1/AggregateRow.ts';
import type { StreamAggregatesRequest__Output as Request } from '../contract/generated/clickledger/v1/StreamAggregatesRequest.ts';
import type { StreamAggregatesResponse as Message } from '../contract/generated/clickledger/v1/StreamAggregatesResponse.ts';
import { AD_ID_BYTES_MAX, cut, isId } from '../domain/limits.ts';
import type { Timers } from '../domain/timers.ts';
import { MINUTE_MS } from '../domain/windowCounts.ts';
import { infoMessage, metricsMessage } from './aggregateMessages.ts';
import type { Answers } from './answers.ts';
import type { FollowedAd, FollowedMinute } from './followedAd.ts';
import { FOLLOW_MAX_MS, type Follower, type Found } from './follower.ts';
import { readToken, writeToken } from './resumeToken.ts';

const ADS_OF_STREAM_MAX = 100;
/** What a snapshot may have rows. */
const MINUTES_OF_STREAM_MAX = 100_000;
/** Each costs a few milliseconds of processor time a second when everything changes. */
const STREAMS_MAX = 2_000;
const ADS_MAX = 10_000;
/** At about 300 bytes each. */
const MINUTES_MAX = 2_000_000;

const MESSAGE_EVERY_MS = 1_000;
/** After so long without a change a message says how fresh the rows are. */
const QUIET_MAX_MS = 5_000;
const ROWS_OF_MESSAGE_MAX = 5_000;
/** One may have begun before the ads were followed, and one may be set back by a flush. */
const LOAD_ROUNDS_MAX = 3;

export interface StreamParts {
  readonly follower: Follower;
  readonly timers: Timers;
  readonly nowMs: () => number;
  /** Another word for each follower. */
  readonly run: string;
}

export function streamAnswers(parts: StreamParts): Answers['streamAggregates'] {
  const { follower, nowMs, run } = parts;
  let streams = 0;
  return async function* (request, signal) {
    const { adIds, fromMs } = readRequest(request);
    const told = readToken(request.resume_token, { run, adIds, fromMs });
    if (told === undefined) refuseTooMuch({ adIds, fromMs }, nowMs());
    if (streams >= STREAMS_MAX) throw exhausted(`at most ${STREAMS_MAX} streams of this process`);
    makeRoom(follower, adIds, fromMs, told !== undefined);
    streams += 1;
    const ads = follower.follow(adIds, fromMs);
    try {
      await loaded(follower, ads);
      const canResume = told !== undefined && ads.every(({ sinceVersion }) => sinceVersion <= told);
      yield* messages(parts, { adIds, ads, fromMs }, canResume ? told : undefined, signal);
    } finally {
      follower.leave(ads);
      streams -= 1;
    }
  };
}

interface Followed {
  readonly adIds: readonly string[];
  readonly ads: readonly FollowedAd[];
  readonly fromMs: number;
}

/** @param resumedAt the version that the reader knows; undefined: it gets everything */
async function* messages(
  { follower, timers, nowMs, run }: StreamParts,
  { adIds, ads, fromMs }: Followed,
  resumedAt: number | undefined,
  signal: AbortSignal,
): AsyncGenerator<Message> {
  const tokenAt = (version: number) => writeToken({ run, adIds, fromMs, version });
  let told = resumedAt ?? 0;
  let token = resumedAt === undefined ? '' : tokenAt(resumedAt);
  let isSnapshot = resumedAt === undefined;
  let missing = '';
  let sentMs = -Infinity;
  while (!signal.aborted) {
    const found = stillFollowing(follower);
    const rows = ads.flatMap((ad) => ad.changedSince(told, fromMs).map((minute) => toRow(ad.adId, minute)));
    const silent = found.missingShards.join();
    // A clock that is set far ahead or back makes it time for a message, and none wait for it.
    const isEarly = Math.abs(nowMs() - sentMs) < QUIET_MAX_MS;
    const isQuiet = rows.length === 0 && silent === missing && isEarly;
    if (isQuiet) {
      await follower.nextRound();
      continue;
    }
    [told, missing, sentMs] = [found.version, silent, nowMs()];
    const second = timers.pause(MESSAGE_EVERY_MS, signal);
    const next = tokenAt(told);
    const info = infoMessage(found);
    for (let from = 0; from === 0 || from < rows.length; from += ROWS_OF_MESSAGE_MAX) {
      const part = rows.slice(from, from + ROWS_OF_MESSAGE_MAX);
      // Who has only some of the rows goes on from before them.
      if (from + ROWS_OF_MESSAGE_MAX >= rows.length) token = next;
      yield { snapshot: isSnapshot, rows: part, info, resume_token: token };
      isSnapshot = false;
    }
    await second;
  }
}

/** @throws CallError where this process is about to end */
function stillFollowing({ isStopped, found }: Follower): Found {
  if (isStopped || found === undefined)
    throw callError(status.UNAVAILABLE, 'the query service ends; ask again with the resume_token');
  return found;
}

async function loaded(follower: Follower, ads: readonly FollowedAd[]): Promise<void> {
  for (let round = 1; round <= LOAD_ROUNDS_MAX; round++) {
    if (ads.every(({ sinceVersion }) => sinceVersion !== Infinity)) return;
    await follower.nextRound();
  }
  if (ads.some(({ sinceVersion }) => sinceVersion === Infinity))
    throw callError(status.UNAVAILABLE, 'the counts cannot be read now; ask again');
}

function toRow(adId: string, { minute, shown }: FollowedMinute): AggregateRow {
  return {
    ad_id: adId,
    from_ms: minute,
    to_ms: minute + MINUTE_MS,
    metrics: metricsMessage(shown),
    status: shown.status,
    revision: shown.revision,
  };
}

/** @throws CallError that names the limit */
function makeRoom(follower: Follower, adIds: readonly string[], fromMs: number, isResuming: boolean): void {
  const isFull = () => follower.adsWith(adIds) > ADS_MAX || follower.minutesWith(adIds, fromMs) > MINUTES_MAX;
  // Who resumes may need an ad that is kept for it.
  if (isFull() && !isResuming) follower.forgetLeft();
  if (follower.adsWith(adIds) > ADS_MAX)
    throw exhausted(`at most ${ADS_MAX} different ads in all streams of this process`);
  if (follower.minutesWith(adIds, fromMs) > MINUTES_MAX)
    throw exhausted(
      `at most ${MINUTES_MAX} minutes of ads in all streams of this process: ask for fewer ad_ids or a later from_ms`,
    );
}

function exhausted(limit: string): Error {
  return callError(status.RESOURCE_EXHAUSTED, `${limit}; ask another one, or again later`);
}

function readRequest({ ad_ids: adIds, from_ms: fromMs }: Request): Pick<Followed, 'adIds' | 'fromMs'> {
  if (adIds.length === 0 || adIds.length > ADS_OF_STREAM_MAX)
    throw invalidArgument(`ad_ids must have 1 to ${ADS_OF_STREAM_MAX} entries, it has ${adIds.length}`);
  const seen = new Set<string>();
  for (const adId of adIds) {
    const shown = JSON.stringify(cut(adId, 200));
    if (!isId(adId, AD_ID_BYTES_MAX))
      throw invalidArgument(
        `ad_ids ${shown} is wrong: it must be 1 to ${AD_ID_BYTES_MAX} bytes without control characters`,
      );
    if (seen.has(adId)) throw invalidArgument(`ad_ids ${shown} stands there twice`);
    seen.add(adId);
  }
  if (!Number.isSafeInteger(fromMs) || fromMs % MINUTE_MS !== 0)
    throw invalidArgument(
      `from_ms ${fromMs} is wrong: it must be milliseconds since 1970 on a whole minute (a multiple of ${MINUTE_MS})`,
    );
  return { adIds, fromMs };
}

/** Who goes on from a token of ours was let in before: its minutes have become more and older since. */
function refuseTooMuch({ adIds, fromMs }: Pick<Followed, 'adIds' | 'fromMs'>, nowMs: number): void {
  // A minute for whoever asks for just two days.
  if (fromMs < nowMs - FOLLOW_MAX_MS - MINUTE_MS || fromMs > nowMs)
    throw invalidArgument(
      `from_ms ${fromMs} is wrong: it must be at most 2 days ago, and not ahead of now, which is ${nowMs}`,
    );
  const minutes = Math.ceil(((nowMs - fromMs) / MINUTE_MS) * adIds.length);
  if (minutes > MINUTES_OF_STREAM_MAX)
    throw invalidArgument(
      `from_ms ${fromMs} is wrong: ${adIds.length} ads have ${minutes} minutes from then on, and a stream may have ${MINUTES_OF_STREAM_MAX}: right is a later one, or fewer ad_ids`,
    );
}
