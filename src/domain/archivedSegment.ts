/**
 * A sealed part of a shard's stream as the archive has it: the messages of one hour, in a file of their own.
 *
 * The hour of a message is that of stream time at it, and later than every hour that is archived already. So each hour
 * is one run of sequences whatever the broker's clock does, and every next segment begins where the last one ends.
 */
import { UndecidedError } from './replayRange.ts';

/** The segments of one incarnation of a shard's stream, without a gap between them. */
export interface ArchivedStream {
  readonly shard: number;
  readonly incarnation: string;
  readonly segments: readonly ArchivedSegment[];
}

export interface ArchivedSegment {
  /** The file's name in the stream's folder. */
  readonly file: string;
  /** Where its hour begins, milliseconds since the Unix epoch. */
  readonly hourMs: number;
  readonly firstSequence: number;
  readonly lastSequence: number;
  /** The broker's timestamps: the first message's, and stream time after the last one. */
  readonly firstMs: number;
  readonly streamTimeMs: number;
  readonly messages: number;
  /** Clicks, and what cannot be decoded. */
  readonly records: number;
  readonly rows: number;
  /** What the messages took on the stream. */
  readonly messageBytes: number;
  /** What the file takes. */
  readonly bytes: number;
  /** Of the file. */
  readonly sha256: string;
  /** Of the messages that it holds. */
  readonly contentSha256: string;
  /** The file before it; of the first one null. */
  readonly previousSha256: string | null;
}

/** A message and what is told apart of it. */
export interface HourOf {
  readonly hourMs: number;
  readonly streamTimeMs: number;
}

/** Where nothing is archived yet. */
const NO_HOUR = -Infinity;

export function newestSegment({ segments }: ArchivedStream): ArchivedSegment | undefined {
  return segments.at(-1);
}

/**
 * The hour to which the next message belongs.
 * @param streamTimeMs before it
 * @param archived the newest segment
 */
export function hourOf(
  timestampMs: number,
  streamTimeMs: number,
  archived: ArchivedSegment | undefined,
  segmentMs: number,
): HourOf {
  const time = Math.max(timestampMs, streamTimeMs);
  const hourMs = Math.floor(time / segmentMs) * segmentMs;
  return { hourMs: Math.max(hourMs, (archived?.hourMs ?? NO_HOUR) + segmentMs), streamTimeMs: time };
}

/** Hours that begin before this are over: nothing of them can come any more. */
export function sealedBeforeMs(brokerTimeMs: number, segmentMs: number, marginMs: number): number {
  return Math.floor((brokerTimeMs - marginMs) / segmentMs) * segmentMs;
}

/** `hour=2025-06-15T12_1-3927.parquet`: the hour, and the sequences in it. */
export function segmentFileName(hourMs: number, firstSequence: number, lastSequence: number): string {
  return `hour=${new Date(hourMs).toISOString().slice(0, 13)}_${firstSequence}-${lastSequence}.parquet`;
}

/** The folder of a stream in the archive, `/` between its parts. */
export function streamFolder(shard: number, incarnation: string): string {
  return `shard=${shard}/incarnation=${incarnation.replaceAll(/[^0-9A-Za-z.-]/g, '')}`;
}

/** What the archive holds is not what was put into it, or is missing: no answer can rest on it. */
export class ArchiveDamagedError extends UndecidedError {}
