/** What the archive holds, a line a stream as people read it, and as a JSON object a line. Pure. */
import type { ArchivedStream } from '../../domain/archivedSegment.ts';
import { formatCount, formatCountOf, formatMinute } from '../format.ts';
import { type PlainColumn, renderPlainTable } from '../plainTable.ts';
import { styled } from '../terminal.ts';

const COLUMNS: readonly PlainColumn[] = [
  { head: 'shard', align: 'right' },
  { head: 'from (UTC)', align: 'left' },
  { head: 'through (UTC)', align: 'left' },
  { head: 'sequences', align: 'left' },
  { head: 'files', align: 'right' },
  { head: 'records', align: 'right' },
  { head: 'bytes', align: 'right' },
  { head: 'a record', align: 'right' },
  { head: 'of the stream', align: 'right' },
];

interface Sums {
  readonly files: number;
  readonly records: number;
  readonly bytes: number;
  readonly messageBytes: number;
}

export function renderArchive(streams: readonly ArchivedStream[], place: string): string {
  const filled = streams.filter(({ segments }) => segments.length > 0);
  if (filled.length === 0) return nothingArchived(place);
  const lines = filled.map((stream) => {
    const { segments } = stream;
    const [first, last] = [segments[0], segments.at(-1)];
    return [
      `${stream.shard}`,
      formatMinute(first?.firstMs ?? 0),
      formatMinute(last?.streamTimeMs ?? 0),
      `${first?.firstSequence} to ${last?.lastSequence}`,
      ...cells(sumsOf([stream])),
    ];
  });
  const total = ['total', '', '', '', ...cells(sumsOf(filled))].map((cell) => styled('bold', cell));
  return `${renderPlainTable(COLUMNS, [...lines, total])}\n${formatCountOf(filled.length, 'stream')} in ${place}`;
}

export function nothingArchived(place: string): string {
  return `nothing is archived in ${place} yet: ./clickledger archive run`;
}

function cells({ files, records, bytes, messageBytes }: Sums): string[] {
  return [
    formatCount(files),
    formatCount(records),
    formatCount(bytes),
    records === 0 ? '–' : (bytes / records).toFixed(1),
    messageBytes === 0 ? '–' : `${((100 * bytes) / messageBytes).toFixed(0)}%`,
  ];
}

export function archiveJson(stream: ArchivedStream): string {
  const { shard, incarnation, segments } = stream;
  const { files, records, bytes, messageBytes } = sumsOf([stream]);
  const time = (ms: number | undefined) => (ms === undefined ? null : new Date(ms).toISOString());
  return JSON.stringify({
    shard,
    stream_incarnation: incarnation,
    from: time(segments[0]?.firstMs),
    through: time(segments.at(-1)?.streamTimeMs),
    first_sequence: segments[0]?.firstSequence ?? null,
    last_sequence: segments.at(-1)?.lastSequence ?? null,
    files,
    records,
    bytes,
    message_bytes: messageBytes,
  });
}

function sumsOf(streams: readonly ArchivedStream[]): Sums {
  const segments = streams.flatMap((stream) => stream.segments);
  const sum = (of: 'records' | 'bytes' | 'messageBytes') =>
    segments.reduce((total, segment) => total + segment[of], 0);
  return {
    files: segments.length,
    records: sum('records'),
    bytes: sum('bytes'),
    messageBytes: sum('messageBytes'),
  };
}
