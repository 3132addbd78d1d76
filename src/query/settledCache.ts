/**
 * Remembers rows of settled parts, in this process and in a Redis beside it. An entry stands under its question and holds
 * the version that it was read with; it is given only to who has just read the same version in its own snapshot. So
 * nothing here can make an answer wrong, whatever is lost, late or old: it only saves reading.
 *
 * Bounded by bytes (I14). A new version takes the place of the old one; what is told to have changed is dropped at once.
 */
import { LRUCache } from 'lru-cache';
import type { Recall, SettledPart, SharedMemory } from '../domain/settledPart.ts';

const BYTES_MAX = 64 * 1024 * 1024;
/** A larger one would push too many others out. */
const ENTRY_BYTES_MAX = 4 * 1024 * 1024;
const DAY_MS = 86_400_000;

interface Entry {
  readonly part: SettledPart;
  readonly rows: unknown;
  readonly bytes: number;
}

/** Where rows came from: this process's memory, somebody who reads them at this moment, the shared one, or the database. */
export type RowSource = 'process' | 'flight' | 'shared' | 'database';

export interface SettledCacheParts {
  readonly shared: SharedMemory | undefined;
  readonly found: (source: RowSource) => void;
}

export class SettledCache {
  readonly #parts: SettledCacheParts;
  readonly #entries = new LRUCache<string, Entry>({
    maxSize: BYTES_MAX,
    maxEntrySize: ENTRY_BYTES_MAX,
    sizeCalculation: ({ bytes }) => bytes,
  });
  /** Readings under way, by question and version. */
  readonly #flights = new Map<string, Promise<unknown>>();

  constructor(parts: SettledCacheParts) {
    this.#parts = parts;
  }

  /** @see Recall. The rows belong to everybody: who gets them must not change them. */
  readonly recall: Recall = async <T>(part: SettledPart, read: () => Promise<T>): Promise<T> => {
    const entry = this.#entries.get(part.question);
    if (entry?.part.version === part.version) return this.#count('process', entry.rows as T);
    const name = `${part.question}\n${part.version}`;
    for (let flight = this.#flights.get(name); flight !== undefined; flight = this.#flights.get(name)) {
      // Where it fails or is given up, that is the other's trouble: one of those who wait reads for itself.
      const rows = await flight.catch(() => undefined);
      if (rows !== undefined) return this.#count('flight', rows as T);
    }
    const own = this.#load(part, read);
    this.#flights.set(name, own);
    try {
      return await own;
    } finally {
      this.#flights.delete(name);
    }
  };

  /** Frees what depends on a day (its first millisecond) and slot of ads. */
  drop(dayMs: number, slot: number): void {
    const dropped: string[] = [];
    for (const [question, { part }] of this.#entries.entries()) {
      const isOfDay = part.fromMs < dayMs + DAY_MS && part.toMs > dayMs;
      if (isOfDay && (part.slots === undefined || part.slots.includes(slot))) dropped.push(question);
    }
    for (const question of dropped) this.#entries.delete(question);
    if (dropped.length > 0) this.#parts.shared?.drop(dropped);
  }

  /** What is held, in bytes. */
  get bytes(): number {
    return this.#entries.calculatedSize;
  }

  async #load<T>(part: SettledPart, read: () => Promise<T>): Promise<T> {
    const { shared } = this.#parts;
    const remembered = await shared?.get(part.question);
    if (remembered?.version === part.version) {
      const rows = JSON.parse(remembered.text) as T;
      this.#keep(part, rows, remembered.text);
      return this.#count('shared', rows);
    }
    const rows = await read();
    const text = JSON.stringify(rows);
    if (this.#keep(part, rows, text)) shared?.set(part.question, { version: part.version, text });
    return this.#count('database', rows);
  }

  /** Whether it is small enough. */
  #keep(part: SettledPart, rows: unknown, text: string): boolean {
    // A character of JSON takes a byte or two, a row as an object about as much again.
    const bytes = 2 * text.length + part.question.length;
    if (bytes > ENTRY_BYTES_MAX) return false;
    this.#entries.set(part.question, { part, rows, bytes });
    return true;
  }

  #count<T>(source: RowSource, rows: T): T {
    this.#parts.found(source);
    return rows;
  }
}
