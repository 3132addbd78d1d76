/**
 * The gateway's own log for clicks that JetStream does not confirm in time (I1): what `append` has answered is on
 * this machine's disk, and `SpoolDrain` brings it to the streams later, also after the gateway was killed.
 *
 * Group fsync: entries that come while others are being written gather, and are written and synced together.
 *
 * Segments are only ever appended to, by the run that made them, and removed whole when nothing in them waits any more.
 * A segment on which a write failed gets no more of them: after a failed sync nobody knows what the disk holds.
 * Of each segment it is known for which shards its entries are, so that one that waits for a shard that refuses is not
 * read in vain.
 * I14: what is on disk and what waits for the disk are bounded; beyond, the caller is told.
 */
import {
  decodeSpool,
  encodeSpoolEntry,
  laneOf,
  type SpoolEntry,
  type SpoolLane,
} from '../domain/spoolEntry.ts';
import type { Log, SpoolFolder } from './ports.ts';
import { OverloadedError, UnavailableError } from './unavailable.ts';

/** A segment is read whole to be drained, and drained again whole where that broke off. */
const SEGMENT_BYTES_MAX = 8 * 1024 * 1024;
const WAITING_BYTES_MAX = 32 * 1024 * 1024;

export interface SpoolParts {
  readonly folder: SpoolFolder;
  readonly bytesMax: number;
  readonly log: Log;
}

interface Segment {
  readonly number: number;
  bytes: number;
  /** Those of its entries; undefined: an earlier run wrote it, and nobody has read it yet. */
  lanes: Set<SpoolLane> | undefined;
}

/** How much of a segment could be read. */
export interface SegmentExtent {
  readonly soundBytes: number;
  readonly tornBytes: number;
}

interface Waiting {
  readonly lane: SpoolLane;
  readonly frame: Buffer;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class Spool {
  readonly #parts: SpoolParts;
  /** No more is appended to these; oldest first. */
  readonly #sealed: Segment[];
  #open: Segment | undefined;
  #nextNumber: number;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #writing = false;
  /** The drain wants what is being written as soon as it is there. */
  #sealWanted = false;
  /** Called when a segment is sealed, while the drain waits for one. */
  #onSealed: (() => void) | undefined;

  private constructor(
    parts: SpoolParts,
    found: readonly { number: number; bytes: number }[],
    lastNumber: number,
  ) {
    this.#parts = parts;
    this.#sealed = found.map((segment) => ({ ...segment, lanes: undefined }));
    this.#nextNumber = lastNumber + 1;
  }

  /** Opens the folder; what an earlier run left in it is drained like everything else. */
  static async open(parts: SpoolParts): Promise<Spool> {
    const { segments, lastNumber } = await parts.folder.list();
    const spool = new Spool(parts, segments, lastNumber);
    if (spool.bytes > 0)
      parts.log.warn({ bytes: spool.bytes }, 'the spool holds clicks of an earlier run; they are sent now');
    return spool;
  }

  /** Bytes that are in the spool or on their way into it. */
  get bytes(): number {
    const onDisk = this.#sealed.reduce((sum, { bytes }) => sum + bytes, this.#open?.bytes ?? 0);
    return onDisk + this.#waitingBytes;
  }

  get isFull(): boolean {
    return this.bytes >= this.#parts.bytesMax;
  }

  /** Returns when the entry is on disk. @throws OverloadedError, UnavailableError where the disk refuses it */
  append(entry: SpoolEntry): Promise<void> {
    const frame = encodeSpoolEntry(entry);
    const { bytesMax } = this.#parts;
    if (this.bytes + frame.length > bytesMax) {
      const why = `JetStream does not answer, and the spool holds ${this.bytes} bytes of clicks; SPOOL_BYTES_MAX allows ${bytesMax}`;
      return Promise.reject(new OverloadedError(why));
    }
    if (this.#waitingBytes + frame.length > WAITING_BYTES_MAX) {
      const why = `${this.#waitingBytes} bytes of clicks wait for the spool's disk already, at most ${WAITING_BYTES_MAX} may`;
      return Promise.reject(new OverloadedError(why));
    }
    return this.#enqueue(frame, laneOf(entry));
  }

  /**
   * Writes what is left of a segment at the end, so that the segment can leave. No limit refuses it: it is there
   * already, and at most one segment is there twice for a moment. All of it or nothing.
   * @throws UnavailableError where the disk refuses it
   */
  async moveToEnd(left: readonly SpoolEntry[]): Promise<void> {
    // In one turn, and so in one write.
    await Promise.all(left.map((entry) => this.#enqueue(encodeSpoolEntry(entry), laneOf(entry))));
  }

  #enqueue(frame: Buffer, lane: SpoolLane): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ frame, lane, resolve, reject });
      this.#waitingBytes += frame.length;
      if (!this.#writing) void this.#write();
    });
  }

  /** Returns when there is something to drain, or `stop` is given. */
  async filled(stop: AbortSignal): Promise<void> {
    if (this.#sealed.length === 0) this.#sealSoon();
    if (this.#sealed.length === 0) await this.#sealing(stop);
  }

  /**
   * The oldest segment after this one that may hold entries of other lanes than these; nothing more is appended to it.
   * undefined where there is none, or where it is being written.
   */
  next(after: number, silent: ReadonlySet<SpoolLane>): number | undefined {
    const oldest = () =>
      this.#sealed.find((segment) => segment.number > after && mayHoldOthers(segment, silent))?.number;
    const found = oldest();
    if (found !== undefined || this.#open === undefined || !mayHoldOthers(this.#open, silent)) return found;
    this.#sealSoon();
    return oldest();
  }

  #sealing(stop: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (stop.aborted) return resolve();
      const end = () => {
        stop.removeEventListener('abort', end);
        this.#onSealed = undefined;
        resolve();
      };
      this.#onSealed = end;
      stop.addEventListener('abort', end);
    });
  }

  /** The segment's entries, and how much of it could be read. */
  async read(number: number): Promise<{ entries: SpoolEntry[]; extent: SegmentExtent }> {
    const file = await this.#parts.folder.read(number);
    const { entries, soundBytes } = decodeSpool(file);
    return { entries, extent: { soundBytes, tornBytes: file.length - soundBytes } };
  }

  /** The segment stays, and what waits in it is of these lanes. */
  keep(number: number, lanes: Iterable<SpoolLane>): void {
    const segment = this.#sealed.find((one) => one.number === number);
    if (segment !== undefined) segment.lanes = new Set(lanes);
  }

  /** Nothing in the segment waits any more, and it leaves; its file stays aside where not all of it could be read. */
  async discard(number: number, { soundBytes, tornBytes }: SegmentExtent): Promise<void> {
    const { folder, log } = this.#parts;
    await (tornBytes === 0 ? folder.remove(number) : folder.setAside(number));
    const index = this.#sealed.findIndex((segment) => segment.number === number);
    this.#sealed.splice(index, 1);
    if (tornBytes > 0)
      log.error(
        { segment: number, soundBytes, tornBytes },
        'a spool segment ends in a torn record and was cut off there; its file is kept as .torn',
      );
  }

  async #write(): Promise<void> {
    this.#writing = true;
    while (this.#waiting.length > 0) {
      const portion = this.#waiting;
      this.#waiting = [];
      this.#open ??= { number: this.#nextNumber++, bytes: 0, lanes: new Set() };
      await this.#writePortion(this.#open, portion);
      if (this.#sealWanted || (this.#open?.bytes ?? 0) >= SEGMENT_BYTES_MAX) this.#seal();
    }
    this.#writing = false;
  }

  async #writePortion(segment: Segment, portion: readonly Waiting[]): Promise<void> {
    const bytes = Buffer.concat(portion.map(({ frame }) => frame));
    for (const { lane } of portion) segment.lanes?.add(lane);
    try {
      await this.#parts.folder.append(segment.number, segment.bytes, bytes);
      segment.bytes += bytes.length;
      for (const { resolve } of portion) resolve();
    } catch (error) {
      this.#parts.log.error({ err: error }, 'the spool cannot be written');
      this.#seal();
      // Nothing in it was answered. Where it cannot be removed either, the next start looks at it.
      if (segment.bytes === 0) this.#parts.folder.remove(segment.number).catch(() => undefined);
      const why = 'JetStream does not answer, and the spool cannot be written';
      for (const { reject } of portion) reject(new UnavailableError(why, { cause: error }));
    } finally {
      this.#waitingBytes -= bytes.length;
    }
  }

  /** At once, or when what is being written is there. */
  #sealSoon(): void {
    this.#sealWanted = true;
    if (!this.#writing) this.#seal();
  }

  #seal(): void {
    // Where the first write failed there is nothing to drain.
    if (this.#open !== undefined && this.#open.bytes > 0) {
      this.#sealed.push(this.#open);
      this.#sealWanted = false;
      this.#onSealed?.();
    }
    this.#open = undefined;
  }
}

function mayHoldOthers({ lanes }: Segment, silent: ReadonlySet<SpoolLane>): boolean {
  return lanes === undefined || !lanes.isSubsetOf(silent);
}
