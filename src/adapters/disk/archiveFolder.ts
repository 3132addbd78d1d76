/**
 * The archive in a folder. A file is written below `.work` and moved to its place when it is on disk (fsync, its name
 * too): whatever has a name is whole.
 */
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { hashFile } from './fileHash.ts';

const WORK_FOLDER = '.work';

export class ArchiveFolder {
  readonly place: string;
  readonly #work: string;
  #files = 0;

  /** @param directory made when something is first put into it */
  constructor(directory: string) {
    this.place = path.resolve(directory);
    this.#work = path.join(this.place, WORK_FOLDER);
  }

  async readText(name: string): Promise<string | undefined> {
    return readFile(this.#path(name), 'utf8').catch(undefinedIfAbsent);
  }

  async writeText(name: string, text: string): Promise<void> {
    const unfinished = await this.newFile();
    const file = await open(unfinished, 'w', 0o640);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await this.keep(unfinished, name);
  }

  async list(ending: string): Promise<string[]> {
    const names = (await readdir(this.place, { recursive: true }).catch(undefinedIfAbsent)) ?? [];
    return names.filter((name) => name.endsWith(ending) && !name.startsWith(WORK_FOLDER)).sort();
  }

  async newFile(): Promise<string> {
    // What is there at the first one was left by a killed run: one archiver works at a time.
    if (this.#files === 0) await rm(this.#work, { recursive: true, force: true });
    await mkdir(this.#work, { recursive: true, mode: 0o750 });
    this.#files += 1;
    return path.join(this.#work, `${process.pid}-${this.#files}`);
  }

  async removeFile(file: string): Promise<void> {
    await rm(file, { force: true });
  }

  /** @param file from `newFile`, on disk */
  async keep(file: string, name: string): Promise<void> {
    const target = this.#path(name);
    await this.#makeFolder(path.dirname(target));
    await rename(file, target);
    await syncNames(path.dirname(target));
  }

  async fetch(name: string) {
    const file = this.#path(name);
    const hashed = await hashFile(file).catch(undefinedIfAbsent);
    return hashed && { path: file, ...hashed, release: async () => undefined };
  }

  #path(name: string): string {
    return path.join(this.place, name);
  }

  /** The names of new folders are on disk too. */
  async #makeFolder(folder: string): Promise<void> {
    const first = await mkdir(folder, { recursive: true, mode: 0o750 });
    if (first === undefined) return;
    for (let made = folder; made.length >= first.length; made = path.dirname(made))
      await syncNames(path.dirname(made));
  }
}

async function syncNames(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function undefinedIfAbsent(error: unknown): undefined {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
  throw error;
}
