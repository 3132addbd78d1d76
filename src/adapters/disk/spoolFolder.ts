/**
 * The files of a gateway's spool: `<number>.spool` in a folder of its own, which one process has at a time. What
 * `append` has answered is on disk (fsync), the file's name too (I1).
 *
 * Owns the folder's lock for as long as it is used: a lock that nothing refers to is closed by the garbage collector,
 * and a second gateway would drain and remove the segment that this one writes.
 */
import { exists, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { FolderLock } from './folderLock.ts';

const NAME = /^(\d{12})\.(spool|torn)$/;

interface FolderList {
  readonly segments: { number: number; bytes: number }[];
  readonly lastNumber: number;
}

export class SpoolFolder {
  readonly #directory: string;
  readonly #lock: FolderLock;

  private constructor(directory: string, lock: FolderLock) {
    this.#directory = directory;
    this.#lock = lock;
  }

  /** Makes the folder where there is none, and locks it; undefined when a running gateway has it. */
  static async take(directory: string): Promise<SpoolFolder | undefined> {
    await mkdir(directory, { recursive: true });
    const lock = FolderLock.take(directory);
    return lock === undefined ? undefined : new SpoolFolder(directory, lock);
  }

  /** Whether clicks wait in it, whoever has it. */
  static async isFilled(directory: string): Promise<boolean> {
    const { segments } = await listIn(directory);
    return segments.some(({ bytes }) => bytes > 0);
  }

  /** Lets another process have it. Nothing is appended or removed after this. */
  close(): void {
    this.#lock.release();
  }

  /** The segments that are there, in order, and the highest number that was ever given among what is there. */
  list(): Promise<FolderList> {
    return listIn(this.#directory);
  }

  read(number: number): Promise<Uint8Array> {
    return readFile(this.#path(number));
  }

  /** Writes at `offset`, the segment's end, and returns when it is on disk. */
  async append(number: number, offset: number, bytes: Uint8Array): Promise<void> {
    // A new segment never takes the place of a file that is there: its clicks may have been answered.
    const file = await open(this.#path(number), offset === 0 ? 'wx' : 'r+');
    try {
      for (let done = 0; done < bytes.length; ) {
        done += (await file.write(bytes, done, bytes.length - done, offset + done)).bytesWritten;
      }
      await file.datasync();
    } finally {
      await file.close();
    }
    if (offset === 0) await this.#syncNames();
  }

  async remove(number: number): Promise<void> {
    await rm(this.#path(number), { force: true });
    await this.#syncNames();
  }

  /** Keeps the file for people to look at, as `<number>.torn`. */
  async setAside(number: number): Promise<void> {
    const file = this.#path(number);
    const aside = file.replace(/spool$/, 'torn');
    await rename(file, aside).catch(async (error: unknown) => {
      // An earlier try got so far.
      if (!(await exists(aside))) throw error;
    });
    await this.#syncNames();
  }

  #path(number: number): string {
    return pathOf(this.#directory, number);
  }

  async #syncNames(): Promise<void> {
    const folder = await open(this.#directory, 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  }
}

async function listIn(directory: string): Promise<FolderList> {
  const files = (await readdir(directory)).flatMap((name) => {
    const [, digits, kind] = NAME.exec(name) ?? [];
    return digits === undefined ? [] : [{ number: Number(digits), kind }];
  });
  files.sort((left, right) => left.number - right.number);
  const sizes = files
    .filter(({ kind }) => kind === 'spool')
    .map(async ({ number }) => ({ number, bytes: await bytesOf(pathOf(directory, number)) }));
  return { segments: await Promise.all(sizes), lastNumber: files.at(-1)?.number ?? 0 };
}

/** 0 where a running gateway removes it just now. */
async function bytesOf(file: string): Promise<number> {
  const { size } = await stat(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return { size: 0 };
    throw error;
  });
  return size;
}

function pathOf(directory: string, number: number): string {
  return path.join(directory, `${String(number).padStart(12, '0')}.spool`);
}
