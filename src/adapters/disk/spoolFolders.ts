/**
 * The spools of all gateways of one machine, in one folder: the first spool is the folder itself, further ones are
 * `2`, `3` and so on in it. A gateway takes the first that no other has; what one left that runs no more, any
 * other may take and send (I1), also where fewer gateways run than before.
 *
 * The folder belongs to one installation, by the mark in it: what waits here must not get to another one's streams.
 */
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { SpoolFolder } from './spoolFolder.ts';

const SPOOLS_MAX = 256;
const MARK = 'installation';
/** Of every spool but the first. */
const NAME = /^[1-9]\d{0,2}$/;

export class SpoolFolders {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /**
   * Makes the folder where there is none.
   * @param installation what tells this installation from others, for good
   * @throws Error where clicks of another installation wait in it
   */
  static async open(directory: string, installation: string): Promise<SpoolFolders> {
    await mkdir(directory, { recursive: true });
    const folders = new SpoolFolders(directory);
    const file = path.join(directory, MARK);
    const mark = await readFile(file, 'utf8').catch(() => undefined);
    if (mark === installation) return folders;
    if (mark !== undefined && (await folders.#filled()).length > 0) {
      throw new Error(
        `CLICKLEDGER_SPOOL_DIR=${JSON.stringify(directory)} holds clicks of another installation (its routing table was made at ${mark}, this one's at ${installation}): give each a folder of its own. If they are this one's all the same, remove ${file}`,
      );
    }
    const unfinished = `${file}.${process.pid}`;
    await writeFile(unfinished, installation);
    await rename(unfinished, file);
    return folders;
  }

  /** The first that no running gateway has. @throws Error where gateways have them all */
  async takeFree(): Promise<SpoolFolder> {
    for (let number = 1; number <= SPOOLS_MAX; number++) {
      const folder = await SpoolFolder.take(this.#path(number));
      if (folder !== undefined) return folder;
    }
    throw new Error(
      `CLICKLEDGER_SPOOL_DIR=${JSON.stringify(this.#directory)}: running gateways have all of its ${SPOOLS_MAX} spools`,
    );
  }

  /** One that no running gateway has and in which clicks wait; undefined where there is none. */
  async takeLeft(): Promise<SpoolFolder | undefined> {
    for (const directory of await this.#filled()) {
      const folder = await SpoolFolder.take(directory);
      if (folder === undefined) continue;
      // Whoever had it may have emptied it in between.
      if (await SpoolFolder.isFilled(directory)) return folder;
      folder.close();
    }
    return undefined;
  }

  async #filled(): Promise<string[]> {
    const names = await readdir(this.#directory);
    const numbers = [1, ...names.filter((name) => NAME.test(name)).map(Number)];
    const directories = numbers.map((number) => this.#path(number));
    const filled = await Promise.all(directories.map((directory) => SpoolFolder.isFilled(directory)));
    return directories.filter((_, index) => filled[index]);
  }

  #path(number: number): string {
    return number === 1 ? this.#directory : path.join(this.#directory, String(number));
  }
}
