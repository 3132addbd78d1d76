/**
 * A gateway's spool folder in memory. Like a disk it knows what was synced and what was not: `crash` keeps the first,
 * and of the second as much as it is told, so a last record may be torn.
 */
import type { SpoolFolder } from '../../src/gateway/ports.ts';
import { Trouble } from './trouble.ts';

interface File {
  bytes: Buffer;
  syncedBytes: number;
}

export class MemorySpoolFolder implements SpoolFolder {
  readonly trouble = new Trouble();
  readonly #files = new Map<number, File>();
  /** What was set aside, by number. */
  readonly torn = new Map<number, Buffer>();
  /** Segments on bad sectors, by number. */
  readonly unreadable = new Set<number>();

  list(): Promise<{ segments: { number: number; bytes: number }[]; lastNumber: number }> {
    return this.trouble.around('list', () => {
      const numbers = [...this.#files.keys()].sort((left, right) => left - right);
      return {
        segments: numbers.map((number) => ({ number, bytes: this.#of(number).bytes.length })),
        lastNumber: Math.max(0, ...numbers, ...this.torn.keys()),
      };
    });
  }

  read(number: number): Promise<Uint8Array> {
    return this.trouble.around('read', () => {
      if (this.unreadable.has(number)) throw new Error(`segment ${number} cannot be read`);
      return Buffer.from(this.#of(number).bytes);
    });
  }

  /** A failure `before` is a disk that took some of it, perhaps; nothing of it is synced. */
  async append(number: number, offset: number, bytes: Uint8Array): Promise<void> {
    const known = this.#files.get(number);
    if (offset === 0 && known !== undefined) throw new Error(`segment ${number} is there already`);
    const file = known ?? { bytes: Buffer.alloc(0), syncedBytes: 0 };
    this.#files.set(number, file);
    file.bytes = Buffer.concat([file.bytes.subarray(0, offset), bytes]);
    await this.trouble.at('append', 'before');
    file.syncedBytes = file.bytes.length;
    await this.trouble.at('append', 'after');
  }

  remove(number: number): Promise<void> {
    return this.trouble.around('remove', () => void this.#files.delete(number));
  }

  setAside(number: number): Promise<void> {
    return this.trouble.around('setAside', () => {
      const file = this.#files.get(number);
      if (file !== undefined) this.torn.set(number, file.bytes);
      this.#files.delete(number);
    });
  }

  /** The machine stops at once. @param keep how many of a file's unsynced bytes reached the disk all the same */
  crash(keep: (unsyncedBytes: number) => number): void {
    for (const file of this.#files.values()) {
      const kept = keep(file.bytes.length - file.syncedBytes);
      file.bytes = file.bytes.subarray(0, file.syncedBytes + kept);
      file.syncedBytes = file.bytes.length;
    }
  }

  /** Bytes in all segments. */
  get bytes(): number {
    return [...this.#files.values()].reduce((sum, { bytes }) => sum + bytes.length, 0);
  }

  get segments(): number {
    return this.#files.size;
  }

  #of(number: number): File {
    const file = this.#files.get(number);
    if (file === undefined) throw new Error(`there is no segment ${number}`);
    return file;
  }
}
