/**
 * The archive in an S3-compatible bucket. A put shows an object whole or not at all; files are made and read in a
 * temporary folder of this machine (`TMPDIR`), one segment at a time.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { S3Client } from 'bun';

export interface BucketAddress {
  readonly bucket: string;
  /** Before every name; empty, or with `/` at its end. */
  readonly prefix: string;
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** What the bucket answered; no key is in it. */
export class BucketError extends Error {
  override readonly name = 'BucketError';
}

export class ArchiveBucket {
  readonly place: string;
  readonly #client: S3Client;
  readonly #prefix: string;
  #folder: string | undefined;
  #files = 0;

  constructor({ bucket, prefix, ...access }: BucketAddress) {
    this.place = `s3://${bucket}/${prefix}`.replace(/\/$/, '');
    this.#prefix = prefix;
    this.#client = new S3Client({ bucket, ...access });
  }

  async readText(name: string): Promise<string | undefined> {
    return this.#asking(`read ${name}`, async () => this.#client.file(this.#key(name)).text());
  }

  async writeText(name: string, text: string): Promise<void> {
    await this.#asking(`write ${name}`, () => this.#client.write(this.#key(name), text));
  }

  async list(ending: string): Promise<string[]> {
    const names: string[] = [];
    let from: { readonly continuationToken?: string } = {};
    for (;;) {
      const page = await this.#asking('list', () => this.#client.list({ prefix: this.#prefix, ...from }));
      for (const { key } of page?.contents ?? []) {
        const name = key.slice(this.#prefix.length);
        if (name.endsWith(ending)) names.push(name);
      }
      const continuationToken = page?.nextContinuationToken;
      if (continuationToken === undefined) return names.sort();
      from = { continuationToken };
    }
  }

  async newFile(): Promise<string> {
    this.#folder ??= temporaryFolder();
    this.#files += 1;
    return path.join(this.#folder, `${this.#files}`);
  }

  async removeFile(file: string): Promise<void> {
    await rm(file, { force: true });
  }

  async keep(file: string, name: string): Promise<void> {
    const local = Bun.file(file);
    await this.#asking(`write ${name}`, () => this.#client.write(this.#key(name), local));
    const kept = await this.#asking(`look at ${name}`, () => this.#client.stat(this.#key(name)));
    if (kept?.size !== local.size)
      throw new BucketError(`${this.place}/${name} has ${kept?.size} bytes, ${local.size} were written`);
    await this.removeFile(file);
  }

  async fetch(name: string) {
    const file = await this.newFile();
    const hash = new Bun.CryptoHasher('sha256');
    let bytes = 0;
    const copied = await this.#asking(`read ${name}`, async () => {
      const copy = await open(file, 'w', 0o600);
      try {
        for await (const piece of this.#client.file(this.#key(name)).stream()) {
          hash.update(piece);
          bytes += piece.length;
          await copy.writeFile(piece);
        }
        return true;
      } finally {
        await copy.close();
      }
    });
    const release = () => this.removeFile(file);
    if (copied) return { path: file, bytes, sha256: hash.digest('hex'), release };
    await release();
    return undefined;
  }

  #key(name: string): string {
    return this.#prefix + name;
  }

  /** undefined: there is no such object. @throws BucketError */
  async #asking<T>(what: string, ask: () => Promise<T>): Promise<T | undefined> {
    try {
      return await ask();
    } catch (error) {
      const { code, message } = error as { code?: string; message?: string };
      if (code === 'NoSuchKey') return undefined;
      throw new BucketError(`${this.place} refused to ${what}: ${code ?? ''} ${message ?? ''}`.trim());
    }
  }
}

/** It goes with the process, unless that is killed. */
function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'clickledger-archive-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
