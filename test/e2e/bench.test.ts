/** `clickledger bench`: it measures on servers of its own, and nothing of them is left. */
import { mkdir, readdir } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, inject, test } from 'vitest';
import * as z from 'zod';

const MAIN = path.resolve(import.meta.dirname, '../../src/cli/main.ts');

/** Where the measurement puts its data, empty; PostgreSQL's user must pass through. */
async function emptyFolder(name: string): Promise<string> {
  const folder = path.join(inject('testDirectory'), name);
  await mkdir(folder, { mode: 0o711 });
  return folder;
}

function begin(temporary: string, ...words: readonly string[]) {
  return Bun.spawn([process.execPath, MAIN, 'bench', ...words], {
    env: { ...process.env, TMPDIR: temporary },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  });
}

const figureSchema = z.object({
  name: z.string(),
  unit: z.enum(['/s', 'times', 'clicks', '%', 'ms', 's', 'µs', 'bytes', 'MB']),
  values: z.array(z.number().nonnegative()).length(1),
  median: z.number(),
  min: z.number(),
  max: z.number(),
  verdict: z.enum(['goal met', 'floor met', 'not met']).nullable(),
});

const reportSchema = z.object({
  machine: z.record(z.string(), z.string()),
  rounds: z.literal(1),
  scale: z.literal(0.01),
  sections: z.array(
    z.object({
      letter: z.string(),
      how: z.string().min(100),
      leavesOut: z.string().min(20),
      figures: z.array(figureSchema).min(1),
      processor: z.array(
        z.object({ name: z.string(), microseconds: z.array(z.record(z.string(), z.number())).length(1) }),
      ),
      // A part that counts anything else than what was sent fails.
      failure: z.undefined().optional(),
    }),
  ),
});

describe('bench', { timeout: 400_000 }, () => {
  test('measures every part against its floor, exactly counted, and leaves nothing', async () => {
    const temporary = await emptyFolder('bench-all');
    const files = await emptyFolder('bench-files');
    const [json, markdown] = [path.join(files, 'figures.json'), path.join(files, 'figures.md')];
    const options = ['--scale', '1', '--rounds', '1', '--json', json, '--markdown', markdown];
    const command = begin(temporary, ...options);
    const [table, complaint] = await Promise.all([command.stdout.text(), command.stderr.text()]);
    expect(await command.exited, complaint).toBe(0);
    const { sections, machine } = reportSchema.parse(await Bun.file(json).json());
    expect(sections.map(({ letter }) => letter)).toEqual(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']);
    const goals = sections.flatMap(({ figures }) => figures.filter(({ verdict }) => verdict !== null));
    // Those of the issues' tables; query p99 is of two small questions and of two for the largest.
    expect(goals).toHaveLength(14);
    for (const version of ['Bun', 'nats-server', 'redis', 'PostgreSQL', 'wrk'])
      expect(machine[version], version).toMatch(/^\d+\.\d+/);
    for (const name of ['client', 'gateway', 'nats-server', 'actors', 'redis-server', 'postgres'])
      expect(Object.keys(sections[1]?.processor[0]?.microseconds[0] ?? {}), name).toContain(name);
    const document = await Bun.file(markdown).text();
    for (const { name } of goals) {
      expect(table).toContain(name);
      expect(document).toContain(`| ${name} |`);
    }
    expect(table).toContain(json);
    expect(await readdir(temporary)).toEqual([]);
  });

  test('measures the parts that it is asked for, and refuses others', async () => {
    const temporary = await emptyFolder('bench-some');
    const wrong = begin(temporary, '--only', 'b,x');
    expect(await wrong.stderr.text()).toContain('Right are letters of a,b,c,d,e,f,g,h');
    expect(await wrong.exited).toBe(2);
    expect(await readdir(temporary)).toEqual([]);
  });

  test('leaves nothing when it is stopped', async () => {
    const temporary = await emptyFolder('bench-stopped');
    const command = begin(temporary, '--only', 'a');
    const complaint = command.stderr.text();
    while ((await readdir(temporary)).length === 0) await Bun.sleep(20);
    await Bun.sleep(4_000);
    command.kill('SIGINT');
    expect(await command.exited).not.toBe(0);
    expect(await complaint).toContain('stopped');
    expect(await readdir(temporary)).toEqual([]);
  });
});

describe('bench replay', { timeout: 120_000 }, () => {
  test('counts and replays the same clicks, and tells three rates and their ratios', async () => {
    const temporary = await emptyFolder('bench-replay');
    const command = begin(temporary, 'replay', '--shards', '2', '--clicks', '3000', '--rounds', '2');
    const lines = (await command.stdout.text()).trimEnd().split('\n');
    expect(await command.exited).toBe(0);
    const rows = lines.map((line) => line.trim().split(/ {2,}/));
    expect(rows.map(([label]) => label)).toEqual(['round', '1', '2', 'median']);
    // The median of the ratios is not the ratio of the medians.
    for (const [, records, windows, ...rest] of rows.slice(1, -1)) {
      expect(records).toBe('3,000');
      expect(windows).toBe('500');
      const [live = 0, catchUp = 0, replay = 0, toLive = 0, toCatchUp = 0] = rest.map((text) =>
        Number(text.replaceAll(',', '')),
      );
      expect(Math.abs(toLive - replay / live)).toBeLessThan(0.1);
      expect(Math.abs(toCatchUp - replay / catchUp)).toBeLessThan(0.1);
    }
    expect(await readdir(temporary)).toEqual([]);
  });

  test('leaves nothing when it is stopped', async () => {
    const temporary = await emptyFolder('bench-replay-stopped');
    const command = begin(temporary, 'replay', '--clicks', '3000000');
    while ((await readdir(temporary)).length === 0) await Bun.sleep(20);
    await Bun.sleep(3_000);
    command.kill('SIGINT');
    expect(await command.exited).not.toBe(0);
    expect(await command.stderr.text()).toContain('stopped');
    expect(await readdir(temporary)).toEqual([]);
  });
});
