/**
 * Loaded before the simulator (`bun --preload`): makes the code under test the mutation that the environment names. The
 * files on disk stay as they are.
 */
import path from 'node:path';
import { plugin } from 'bun';
import { MUTATIONS } from './mutations.ts';

const PROJECT = path.resolve(import.meta.dirname, '../..');

const name = process.env['CLICKLEDGER_MUTATION'];
const mutation = MUTATIONS.find((one) => one.name === name);
if (mutation === undefined) throw new Error(`there is no mutation ${JSON.stringify(name)}`);

const edited = new Map<string, string>();
for (const { file, from, to } of mutation.edits) {
  const place = path.join(PROJECT, file);
  const text = edited.get(place) ?? (await Bun.file(place).text());
  if (text.split(from).length !== 2)
    throw new Error(`the mutation ${JSON.stringify(name)} does not find its text, just once, in ${file}`);
  edited.set(
    place,
    text.replace(from, () => to),
  );
}

plugin({
  name: 'mutation',
  setup(build) {
    build.onLoad({ filter: /\.ts$/, namespace: 'file' }, async ({ path: file }) => ({
      contents: edited.get(file) ?? (await Bun.file(file).text()),
      loader: 'ts',
    }));
  },
});
