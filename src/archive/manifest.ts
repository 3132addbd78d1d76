/**
 * A stream's manifest: `manifest.json` in its folder, a line a segment. What it does not name is not in the archive,
 * so a segment counts from the moment at which the manifest with it is written.
 */
import * as z from 'zod';
import {
  ArchiveDamagedError,
  type ArchivedSegment,
  type ArchivedStream,
  streamFolder,
} from '../domain/archivedSegment.ts';
import type { ArchiveStore } from './ports.ts';

const FORMAT = 1;
const MANIFEST_FILE = 'manifest.json';

const sequence = z.number().int().positive();
const count = z.number().int().nonnegative();
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

const Manifest = z.strictObject({
  format: z.literal(FORMAT),
  shard: z.number().int().nonnegative(),
  incarnation: z.string(),
  segments: z.array(
    z.strictObject({
      file: z.string().regex(/^[\w=.-]+$/),
      hour_ms: z.number(),
      first_sequence: sequence,
      last_sequence: sequence,
      first_ms: z.number(),
      stream_time_ms: z.number(),
      messages: count,
      records: count,
      rows: count,
      message_bytes: count,
      bytes: count,
      sha256,
      content_sha256: sha256,
      previous_sha256: sha256.nullable(),
    }),
  ),
});
type StoredSegment = z.infer<typeof Manifest>['segments'][number];

/** What the archive has of the stream. @throws ArchiveDamagedError where its manifest cannot be read */
export async function readArchivedStream(
  store: ArchiveStore,
  shard: number,
  incarnation: string,
): Promise<ArchivedStream> {
  const name = `${streamFolder(shard, incarnation)}/${MANIFEST_FILE}`;
  const stream = await readManifest(store, name);
  if (stream === undefined) return { shard, incarnation, segments: [] };
  if (stream.shard !== shard || stream.incarnation !== incarnation) {
    throw new ArchiveDamagedError(
      `${store.place}/${name} is that of shard ${stream.shard}, stream of ${stream.incarnation}: it was put there by hand. Right is the one that was written there`,
    );
  }
  return stream;
}

/** Every stream that the archive has something of, by shard. @throws ArchiveDamagedError */
export async function readArchivedStreams(store: ArchiveStore): Promise<ArchivedStream[]> {
  const streams: ArchivedStream[] = [];
  for (const name of await manifestNames(store)) {
    const stream = await readManifest(store, name);
    if (stream !== undefined) streams.push(stream);
  }
  return streams.sort(
    (left, right) => left.shard - right.shard || (left.incarnation < right.incarnation ? -1 : 1),
  );
}

export function manifestNames(store: ArchiveStore): Promise<string[]> {
  return store.list(`/${MANIFEST_FILE}`);
}

/** undefined: there is none. @throws ArchiveDamagedError */
export async function readManifest(store: ArchiveStore, name: string): Promise<ArchivedStream | undefined> {
  const text = await store.readText(name);
  return text === undefined ? undefined : parseManifest(text, `${store.place}/${name}`);
}

export async function writeManifest(store: ArchiveStore, stream: ArchivedStream): Promise<void> {
  const { shard, incarnation, segments } = stream;
  const head = JSON.stringify({ format: FORMAT, shard, incarnation }).slice(0, -1);
  const lines = segments.map((segment) => `\n${JSON.stringify(toStored(segment))}`);
  await store.writeText(
    `${streamFolder(shard, incarnation)}/${MANIFEST_FILE}`,
    `${head},"segments":[${lines.join(',')}\n]}\n`,
  );
}

/** @param place how messages name the file */
function parseManifest(text: string, place: string): ArchivedStream {
  const damaged = (why: string) =>
    new ArchiveDamagedError(`the manifest ${place} is damaged (${why}): restore it from a copy`);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw damaged('it is no JSON');
  }
  const parsed = Manifest.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw damaged(`${issue?.path.join('.')}: ${issue?.message}`);
  }
  const { shard, incarnation } = parsed.data;
  const segments = parsed.data.segments.map(fromStored);
  const broken = brokenLink(segments);
  if (broken !== undefined) throw damaged(`${broken.file} does not follow on the segment before it`);
  return { shard, incarnation, segments };
}

/** The first segment that is not the next one of the segment before it. */
function brokenLink(segments: readonly ArchivedSegment[]): ArchivedSegment | undefined {
  return segments.find((segment, place) => {
    const previous = segments[place - 1];
    const follows =
      previous === undefined
        ? segment.previousSha256 === null
        : segment.previousSha256 === previous.sha256 &&
          segment.firstSequence === previous.lastSequence + 1 &&
          segment.hourMs > previous.hourMs;
    return !follows || segment.lastSequence - segment.firstSequence + 1 !== segment.messages;
  });
}

function toStored(segment: ArchivedSegment): StoredSegment {
  return {
    file: segment.file,
    hour_ms: segment.hourMs,
    first_sequence: segment.firstSequence,
    last_sequence: segment.lastSequence,
    first_ms: segment.firstMs,
    stream_time_ms: segment.streamTimeMs,
    messages: segment.messages,
    records: segment.records,
    rows: segment.rows,
    message_bytes: segment.messageBytes,
    bytes: segment.bytes,
    sha256: segment.sha256,
    content_sha256: segment.contentSha256,
    previous_sha256: segment.previousSha256,
  };
}

function fromStored(stored: StoredSegment): ArchivedSegment {
  return {
    file: stored.file,
    hourMs: stored.hour_ms,
    firstSequence: stored.first_sequence,
    lastSequence: stored.last_sequence,
    firstMs: stored.first_ms,
    streamTimeMs: stored.stream_time_ms,
    messages: stored.messages,
    records: stored.records,
    rows: stored.rows,
    messageBytes: stored.message_bytes,
    bytes: stored.bytes,
    sha256: stored.sha256,
    contentSha256: stored.content_sha256,
    previousSha256: stored.previous_sha256,
  };
}
