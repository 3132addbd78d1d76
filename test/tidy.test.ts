/** What a linter cannot say of this repository: documents that must tell the truth, numbers without gaps. */
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { SETTINGS } from '../src/adapters/environment/settings.ts';
import { BROWSERS, DEVICE_TYPES, OPERATING_SYSTEMS } from '../src/domain/userAgentFacts.ts';

const PROJECT = path.resolve(import.meta.dirname, '..');
const read = (file: string) => readFile(path.join(PROJECT, file), 'utf8');

async function filesBelow(folder: string, ending: string): Promise<string[]> {
  const entries = await readdir(path.join(PROJECT, folder), { recursive: true });
  return entries
    .filter((entry) => entry.endsWith(ending) && !entry.includes('generated'))
    .map((entry) => path.join(folder, entry))
    .sort();
}

describe('documents', () => {
  test("README's settings are the settings", async () => {
    const readme = await read('README.md');
    const rows = readme.split('\n').filter((line) => /^\| `[A-Z0-9_]+` \|/.test(line));
    const expected = Object.values(SETTINGS).map(({ variable, fallback, meaning }) => {
      return `| \`${variable}\` | ${fallback === undefined ? '' : `\`${fallback}\``} | ${meaning} |`;
    });
    expect(rows).toEqual(expected);
  });

  test('every command of the README exists', async () => {
    const readme = await read('README.md');
    const named = new Set([...readme.matchAll(/\.\/clickledger ([a-z-]+)/g)].map(([, name]) => name));
    const { stdout } = Bun.spawnSync([process.execPath, path.join(PROJECT, 'src/cli/main.ts'), '--help']);
    const help = stdout.toString();
    for (const name of named) expect(help).toMatch(new RegExp(`^  ${name}\\b`, 'm'));
    expect(named.size).toBeGreaterThan(4);
  });

  test('every link between the documents leads somewhere', async () => {
    const documents = ['README.md', 'CHANGELOG.md', ...(await filesBelow('docs', '.md'))];
    for (const document of documents) {
      for (const [, target = ''] of (await read(document)).matchAll(/\]\((?!https?:)([^)#]+)\)/g)) {
        const file = path.join(PROJECT, path.dirname(document), target);
        expect(await Bun.file(file).exists(), `${document} -> ${target}`).toBe(true);
      }
    }
  });

  test('decisions are numbered without gaps', async () => {
    const numbers = (await filesBelow('docs/decisions', '.md')).map((file) =>
      Number(path.basename(file).slice(0, 4)),
    );
    expect(numbers).toEqual(numbers.map((_, index) => index + 1));
  });

  test('the invariants that files name are those of the architecture', async () => {
    const listed = new Set(
      [...(await read('docs/ARCHITECTURE.md')).matchAll(/^- \*\*(I\d+)\*\*/gm)].map(([, name]) => name),
    );
    expect(listed.size).toBe(16);
    for (const file of [...(await filesBelow('src', '.ts')), ...(await filesBelow('src', '.lua'))]) {
      for (const [name] of (await read(file)).matchAll(/\bI\d{1,2}\b/g)) expect(listed, file).toContain(name);
    }
  });
});

describe('the contract', () => {
  test('every message, field, method and value has a comment', async () => {
    for (const file of await filesBelow('proto', '.proto')) {
      const lines = (await read(file)).split('\n');
      for (const [index, line] of lines.entries()) {
        const isDefinition = /^\s*(message|enum|service|rpc)\s/.test(line) || /=\s*\d+;/.test(line);
        if (isDefinition) expect(lines[index - 1], `${file}:${index + 1} ${line}`).toMatch(/^\s*\/\//);
      }
    }
  });
});

describe('the words for what a user agent tells', () => {
  test.each([
    ['device_type', DEVICE_TYPES],
    ['os', OPERATING_SYSTEMS],
    ['browser', BROWSERS],
  ])('%s: the contract names all of them, and no other', async (field, words) => {
    const proto = await read('proto/clickledger/v1/click.proto');
    const [, comment = ''] = new RegExp(`((?: *//[^\\n]*\\n)+) *string ${field} = 1[123];`).exec(proto) ?? [];
    const text = comment.replaceAll(/\s*\/\/ ?/g, ' ');
    const [, list = ''] = /one of (.*?)(?:;|\.)/.exec(text) ?? [];
    const named = list
      .replaceAll(/ \([^)]*\)/g, '')
      .replace(' and other', ', other')
      .split(', ');
    expect(named).toEqual(words);
  });
});

describe('the code', () => {
  test('migrations are numbered without gaps', async () => {
    const files = await filesBelow('src/adapters/postgres/migrations', '.sql');
    const numbers = files.map((file) => Number(path.basename(file).slice(0, 4)));
    expect(numbers).toEqual(numbers.map((_, index) => index + 1));
    expect(numbers.length).toBeGreaterThan(0);
  });

  test('only the system clock reads the clock, and nothing that counts draws lots', async () => {
    const folders = ['domain', 'gateway', 'actors', 'query', 'reconciler', 'adapters'];
    for (const folder of folders) {
      for (const file of await filesBelow(`src/${folder}`, '.ts')) {
        // The page has a browser's clock, and no other.
        if (file.endsWith('system/clock.ts') || file.startsWith('src/query/web/page/')) continue;
        expect(await read(file), file).not.toMatch(/Date\.now\(|new Date\(\)|Math\.random\(/);
      }
    }
  });

  test('what the simulator runs waits only by the timers that it is handed', async () => {
    for (const folder of ['domain', 'gateway', 'actors', 'reconciler']) {
      for (const file of await filesBelow(`src/${folder}`, '.ts'))
        expect(await read(file), file).not.toMatch(/Bun\.sleep\(|setTimeout\(|setImmediate\(|setInterval\(/);
    }
  });

  test('every file says at its top what it is for', async () => {
    for (const file of await filesBelow('src', '.ts')) {
      expect((await read(file)).replace(/^#!.*\n/, ''), file).toMatch(/^\/\*\*/);
    }
  });
});
