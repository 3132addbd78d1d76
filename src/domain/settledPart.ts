/**
 * Which part of a question is answered from settled counts, and may be remembered: settled minutes change only with a
 * restatement (I13), which replaces a version of what it touches (adapters/postgres/settledVersion.ts). Pure.
 */

const DAY_MS = 86_400_000;

/** Half-open, on whole minutes, milliseconds since the Unix epoch. */
export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

/** A part of a question's range, and whether it may be remembered. */
export interface RangePart extends Span {
  readonly isSettled: boolean;
}

/** Rows of a settled part as they are named in a cache. */
export interface SettledPart extends Span {
  /** Everything that the rows depend on, but for the counts themselves. */
  readonly question: string;
  /** Two readings of one question with one version found the same rows. */
  readonly version: string;
  /** The slots of its ads; undefined: all. */
  readonly slots: readonly number[] | undefined;
}

/** Gives what is remembered of a part, or reads it and remembers it. */
export type Recall = <T>(part: SettledPart, read: () => Promise<T>) => Promise<T>;

/** Memory that processes share: slower than one's own, faster than reading. It never fails, and may know nothing. */
export interface SharedMemory {
  get(question: string): Promise<Remembered | undefined>;
  set(question: string, remembered: Remembered): void;
  drop(questions: readonly string[]): void;
}

export interface Remembered {
  readonly version: string;
  /** The rows as JSON. */
  readonly text: string;
}

/** Remembers nothing. */
export const recallNothing: Recall = (_part, read) => read();

/**
 * The parts of a range, by time. A range that is settled throughout is one part. Of another one, which moves on with the
 * clock, whole UTC days that are settled are remembered: they stay the same until the next midnight.
 */
export function rangeParts({ fromMs, toMs }: Span, settledThroughMs: number): RangePart[] {
  if (toMs <= settledThroughMs) return [{ fromMs, toMs, isSettled: true }];
  const firstMs = Math.ceil(fromMs / DAY_MS) * DAY_MS;
  const lastMs = Math.floor(settledThroughMs / DAY_MS) * DAY_MS;
  if (!(firstMs < lastMs)) return [{ fromMs, toMs, isSettled: false }];
  const parts: RangePart[] = [];
  if (fromMs < firstMs) parts.push({ fromMs, toMs: firstMs, isSettled: false });
  parts.push({ fromMs: firstMs, toMs: lastMs, isSettled: true });
  parts.push({ fromMs: lastMs, toMs, isSettled: false });
  return parts;
}
