/** Countries of addresses out of a file: the right one, a clear error for a wrong file, and a new file without a restart. */
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { GeoFile } from '../../../src/adapters/geo/geoFile.ts';
import { mmdbOf } from '../../support/mmdb.ts';
import { SilentLog } from '../../support/silentLog.ts';

const NEPAL = { country: { iso_code: 'NP' }, subdivisions: [{ iso_code: 'P3' }] };
const GERMANY = { country_code: 'DE' };
const NETWORKS = [
  ['203.0.113.0/24', NEPAL],
  ['198.51.100.64/26', GERMANY],
  ['2001:db8:7::/48', NEPAL],
  ['192.0.2.0/25', { country: { iso_code: 'XX' } }],
  ['192.0.2.128/25', { autonomous_system_number: 64_500 }],
] as const;

async function fileOf(content: Uint8Array): Promise<string> {
  const folder = await mkdtemp(path.join(inject('testDirectory'), 'geo-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = path.join(folder, 'countries.mmdb');
  await writeFile(file, content);
  return file;
}

const open = async (content: Uint8Array) => GeoFile.open(await fileOf(content), new SilentLog());

describe('a file of countries', () => {
  it.each([
    ['203.0.113.0', 'NP', 'NP-P3'],
    ['203.0.113.255', 'NP', 'NP-P3'],
    ['203.0.114.0', '', ''],
    ['198.51.100.63', '', ''],
    ['198.51.100.64', 'DE', ''],
    ['::ffff:198.51.100.64', 'DE', ''],
    ['2001:db8:7:ffff::1', 'NP', 'NP-P3'],
    ['2001:db8:8::1', '', ''],
    ['192.0.2.1', '', ''],
    ['192.0.2.129', '', ''],
    ['', '', ''],
    ['203.0.113', '', ''],
    ['203.0.113.7, 198.51.100.64', '', ''],
    ['localhost', '', ''],
  ])('says of %j: country %j, region %j', async (address, country, region) => {
    expect((await open(mmdbOf(NETWORKS))).place(address)).toEqual({ country, region });
  });

  it('of IPv4 alone says nothing of an address of IPv6', async () => {
    const file = await open(mmdbOf([['32.1.13.0/24', GERMANY]], { ipVersion: 4 }));
    expect(file.place('32.1.13.1').country).toBe('DE');
    // Its first four bytes are those of 32.1.13.184.
    expect(file.place('2001:db8::1').country).toBe('');
  });

  it.each([
    ['no such file', undefined, 'no such file'],
    ['an empty file', Buffer.alloc(0), 'MaxMind'],
    ['another kind of file', Buffer.from('country,from,to\n'.repeat(1_000)), 'MaxMind'],
    ['one that was cut off', mmdbOf(NETWORKS).subarray(0, -100), 'MaxMind'],
    ['one whose beginning is gone', mmdbOf(NETWORKS).subarray(-250), 'MaxMind'],
  ])('is refused by name where it is %s', async (_what, content, words) => {
    const file = content === undefined ? '/nowhere/countries.mmdb' : await fileOf(content);
    const failure = await GeoFile.open(file, new SilentLog()).then(
      () => 'opened',
      (error: Error) => error.message,
    );
    expect(failure).toContain(`CLICKLEDGER_GEO_FILE=${JSON.stringify(file)} is wrong`);
    expect(failure).toContain(words);
  });

  it('is read again when it has changed, and stays as it was while the new one is damaged', async () => {
    const file = await fileOf(mmdbOf([['203.0.113.0/24', GERMANY]]));
    const log = new SilentLog();
    const geo = await GeoFile.open(file, log);
    await geo.refresh();
    expect(geo.place('203.0.113.1').country).toBe('DE');

    await writeFile(file, 'half of a fi');
    await geo.refresh();
    expect(geo.place('203.0.113.1').country).toBe('DE');
    expect(log.lines.filter(({ level }) => level === 'error')).toHaveLength(1);

    await writeFile(`${file}.new`, mmdbOf(NETWORKS));
    await rename(`${file}.new`, file);
    await geo.refresh();
    expect(geo.place('203.0.113.1').country).toBe('NP');

    await rm(file);
    await geo.refresh();
    expect(geo.place('203.0.113.1').country).toBe('NP');
    await writeFile(file, mmdbOf(NETWORKS));
  });

  it('that is damaged within says so once, and knows nothing there', async () => {
    const bytes = mmdbOf(NETWORKS);
    // Every entry: no type of data has this number.
    const entries = bytes.indexOf(Buffer.alloc(16)) + 16;
    bytes.fill(0, entries, bytes.lastIndexOf('MaxMind.com') - 3);
    const log = new SilentLog();
    const geo = await GeoFile.open(await fileOf(bytes), log);
    for (const address of ['203.0.113.1', '203.0.113.2', '198.51.100.64'])
      expect(geo.place(address)).toEqual({ country: '', region: '' });
    expect(log.lines.filter(({ level }) => level === 'error')).toHaveLength(1);
  });
});
