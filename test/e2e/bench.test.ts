/** `clickledger bench`: it measures on servers of its own, and nothing of them is left. */
import { mkdir, readdir } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, inject, test } from 'vitest';

const MAIN = path.resolve(import.meta.dirname, '../../src/cli/main.ts');

describe('bench replay', { timeout: 120_000 }, () => {
  const begin = (temporary: string, ...words: readonly string[]) =>
    Bun.spawn([process.execPath, MAIN, 'bench', 'replay', '--shards', '2', ...words], {
      env: { ...process.env, TMPDIR: temporary },
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'pipe',
    });
  /** Where the measurement puts its data, empty; PostgreSQL's user must pass through. */
  const emptyFolder = async (name: string) => {
    const folder = path.join(inject('testDirectory'), name);
    await mkdir(folder, { mode: 0o711 });
    return folder;
  };

  test('counts and replays the same clicks, and tells both rates and their ratio', async () => {
    const temporary = await emptyFolder('bench');
    const command = begin(temporary, '--clicks', '3000', '--rounds', '2');
    const lines = (await command.stdout.text()).trimEnd().split('\n');
    expect(await command.exited).toBe(0);
    const rows = lines.map((line) => line.trim().split(/ {2,}/));
    expect(rows.map(([label]) => label)).toEqual(['round', '1', '2', 'median']);
    // The median of the ratios is not the ratio of the medians.
    for (const [, records, windows, live, replay, times] of rows.slice(1, -1)) {
      // One click in fifty is sent twice.
      expect(records).toBe('3,061');
      const [, liveRate = 0, replayRate = 0] = [windows, live, replay].map((text) =>
        Number(text?.replaceAll(',', '')),
      );
      expect(Math.abs(Number(times) - replayRate / liveRate)).toBeLessThan(0.1);
    }
    expect(await readdir(temporary)).toEqual([]);
  });

  test('leaves nothing when it is stopped', async () => {
    const temporary = await emptyFolder('bench-stopped');
    const command = begin(temporary, '--clicks', '3000000');
    while ((await readdir(temporary)).length === 0) await Bun.sleep(20);
    await Bun.sleep(3_000);
    command.kill('SIGINT');
    expect(await command.exited).not.toBe(0);
    expect(await command.stderr.text()).toContain('stopped');
    expect(await readdir(temporary)).toEqual([]);
  });
});
