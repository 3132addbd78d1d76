/**
 * The file with countries of network addresses, which the operator keeps up to date. It is read whole, and again when it
 * has changed; where it is damaged then, the last good one stays in use, and the log says so.
 */
import { readFile, stat } from 'node:fs/promises';
import { errorText } from '../../domain/errorText.ts';
import { NOWHERE, type Place } from '../../domain/place.ts';
import type { Timers } from '../../domain/timers.ts';
import { SettingsError } from '../environment/settings.ts';
import { GeoData } from './geoData.ts';

const LOOK_AGAIN_MS = 60_000;

interface Log {
  info(facts: object, message: string): void;
  error(facts: object, message: string): void;
}

interface LoadedFile {
  readonly data: GeoData;
  /** Another one where the file has changed. */
  readonly stamp: string;
}

export class GeoFile {
  readonly #path: string;
  readonly #log: Log;
  #loaded: LoadedFile;
  #isDamaged = false;

  private constructor(path: string, log: Log, loaded: LoadedFile) {
    this.#path = path;
    this.#log = log;
    this.#loaded = loaded;
    this.#tell();
  }

  /** @throws SettingsError where the file cannot be read, or is no such file */
  static async open(path: string, log: Log): Promise<GeoFile> {
    try {
      return new GeoFile(path, log, await load(path));
    } catch (error) {
      throw new SettingsError(
        `CLICKLEDGER_GEO_FILE=${JSON.stringify(path)} is wrong: it must be a file in MaxMind's format (.mmdb) with countries of addresses (${errorText(error)})`,
      );
    }
  }

  /** Of an address as text; NOWHERE for what is none, and for what the file does not know. */
  place(address: string): Place {
    try {
      return this.#loaded.data.place(address);
    } catch (error) {
      // Once a file: it may be all of it.
      if (!this.#isDamaged)
        this.#log.error({ err: error, file: this.#path }, 'the file of countries is damaged');
      this.#isDamaged = true;
      return NOWHERE;
    }
  }

  /** Reads the file again whenever it has changed, until `stop`. */
  async follow(timers: Timers, stop: AbortSignal): Promise<void> {
    for (;;) {
      await timers.pause(LOOK_AGAIN_MS, stop);
      if (stop.aborted) return;
      await this.refresh();
    }
  }

  /** Reads the file again if it has changed. */
  async refresh(): Promise<void> {
    try {
      if ((await stampOf(this.#path)) === this.#loaded.stamp) return;
      this.#loaded = await load(this.#path);
      this.#isDamaged = false;
      this.#tell();
    } catch (error) {
      this.#log.error(
        { err: error, file: this.#path },
        'the file of countries cannot be read: what was read before stays in use',
      );
    }
  }

  #tell(): void {
    const { databaseType, buildEpoch } = this.#loaded.data.metadata;
    this.#log.info(
      { file: this.#path, type: databaseType, made: buildEpoch },
      'the file of countries is read',
    );
  }
}

async function load(path: string): Promise<LoadedFile> {
  // Before it is read: a change meanwhile is seen the next time.
  const stamp = await stampOf(path);
  return { data: new GeoData(await readFile(path)), stamp };
}

async function stampOf(path: string): Promise<string> {
  const { ino, mtimeMs, size } = await stat(path);
  return `${ino} ${mtimeMs} ${size}`;
}
