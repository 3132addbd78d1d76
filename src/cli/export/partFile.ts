/**
 * A file that is there when it is whole, or not at all: written beside its place under another name, and renamed in the
 * end. What stood in its place stays until then.
 */
import { unlinkSync } from 'node:fs';
import { type FileHandle, open, realpath, rename, stat } from 'node:fs/promises';
import path from 'node:path';

export interface Target {
  write(bytes: Uint8Array): Promise<void>;
  /** Everything is written, and right. */
  finish(): Promise<void>;
  /** Leaves nothing behind. May be called at any time, also in the end of a process. */
  discard(): void;
}

export class PartFile implements Target {
  readonly #path: string;
  readonly #partPath: string;
  readonly #handle: FileHandle;
  #isThere = true;

  private constructor(target: string, partPath: string, handle: FileHandle) {
    this.#path = target;
    this.#partPath = partPath;
    this.#handle = handle;
  }

  /** @throws Error of the file system, such as EACCES; or where nothing may take the place of what stands there */
  static async create(target: string): Promise<PartFile> {
    const place = await placeOf(target);
    const partPath = path.join(path.dirname(place), `.${path.basename(place)}.${process.pid}.part`);
    return new PartFile(place, partPath, await open(partPath, 'w'));
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#handle.writeFile(bytes);
  }

  async finish(): Promise<void> {
    await this.#handle.sync();
    await this.#handle.close();
    await rename(this.#partPath, this.#path);
    this.#isThere = false;
  }

  discard(): void {
    if (!this.#isThere) return;
    this.#isThere = false;
    unlinkSync(this.#partPath);
  }
}

/**
 * Where the file will stand: where a link leads to. A folder could not be replaced, and a device such as /dev/null would be, for
 * all who use it.
 */
async function placeOf(target: string): Promise<string> {
  if (target === '' || target.endsWith(path.sep)) throw new Error('it is no name of a file');
  const found = await stat(target).catch(() => undefined);
  if (found === undefined) return target;
  if (!found.isFile()) throw new Error('what stands there is no file');
  return realpath(target);
}

/** Waits for whoever reads. */
export class StandardOutput implements Target {
  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) =>
      process.stdout.write(bytes, (error) => (error == null ? resolve() : reject(error))),
    );
  }

  finish(): Promise<void> {
    return Promise.resolve();
  }

  discard(): void {}
}
