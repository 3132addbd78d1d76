/** Another clock than the machine's for one process: Debian's libfaketime, which `./clickledger test` installs. */
import { randomBytes } from 'node:crypto';
import { globSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { inject } from 'vitest';

export class FakeClock {
  readonly #file = path.join(inject('testDirectory'), `clock-${randomBytes(6).toString('hex')}`);

  /** What a process is started with, so that it sees this clock. Timers and time spans stay as they are. */
  get environment(): Record<string, string> {
    const [library] = globSync('/usr/lib/*/faketime/libfaketime.so.1');
    if (library === undefined) throw new Error('libfaketime is not there: ./clickledger test installs it');
    return {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: this.#file,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    };
  }

  /** @param offset from the machine's clock, such as `+10m` or `-30s`; counts at once */
  async set(offset: string): Promise<void> {
    await writeFile(this.#file, offset);
  }
}
