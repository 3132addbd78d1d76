/** Which column fills which field, and what is said where that cannot be. */
import { describe, expect, it } from 'vitest';
import { clickOfRow } from '../../src/cli/import/clickOfRow.ts';
import { columnList, mapColumns, parseMap } from '../../src/cli/import/columnMapping.ts';

const HEADER = ['ip', 'app', 'device', 'os', 'channel', 'click_time', 'attributed_time'];

function mapped(header: readonly string[], ...map: string[]) {
  return mapColumns(header, parseMap(map));
}

describe('the mapping of columns', () => {
  it('takes what --map says, and columns named like a field for the rest', () => {
    const mapping = mapped(HEADER, 'ad_id=app,publisher_id=channel', 'event_time=click_time');
    expect(mapping.fields).toEqual({ ad_id: 1, publisher_id: 4, event_time: 5, ip: 0, os: 3 });
    expect(mapping.unused).toEqual(['device', 'attributed_time']);
  });

  it('lets --map win over a column that has the name of the field', () => {
    expect(mapped(['ad_id', 'event_time', 'other'], 'ad_id=other').fields.ad_id).toBe(2);
  });

  it('knows event_time by the name of the contract too', () => {
    expect(mapped(['ad_id', 'event_time_ms']).fields).toEqual({ ad_id: 0, event_time: 1 });
    expect(mapped(['ad_id', 'when'], 'event_time_ms=when').fields.event_time).toBe(1);
  });

  it('puts columns into attributes by key', () => {
    const mapping = mapped(['ad_id', 'event_time', 'app', 'note'], 'attributes.app=app,attributes.note=note');
    const outcome = clickOfRow({ values: ['a', '1', 'x', ''], rowNumber: 1, line: 2 }, mapping, 'f');
    expect(outcome).toMatchObject({ kind: 'click', click: { attributes: { app: 'x' } } });
  });

  it.each([
    ['ad_id', 'right is field=column'],
    ['=app', 'right is field=column'],
    ['ad_id=', 'right is field=column'],
    ['ad=app', 'there is no field ad; fields are click_id,'],
    ['ad_id=app,ad_id=channel', 'the field ad_id has a column already: app'],
    ['ad_id=apps', 'the file has no column apps; its columns are ip, app, device'],
    ['os=os', 'no column is the ad'],
    ['ad_id=app', 'no column says when a click happened'],
  ])('--map %s is refused: %s', (map, message) => {
    expect(() => mapped(HEADER, map)).toThrow(message);
  });

  it('refuses a column that is there twice', () => {
    expect(() => mapped(['ad_id', 'ad_id', 'event_time'])).toThrow('two columns ad_id');
  });
});

describe('a column whose name holds what a terminal would obey', () => {
  const EVIL = 'ap\u001b]0;pwned\u0007p\u009b2J\u202eq';
  const SHOWN = 'ap\\u001b]0;pwned\\u0007p\\u009b2J\\u202eq';

  it.each([
    ['a column that is not there', [EVIL, 'b'], 'ad_id=c', `its columns are ${SHOWN}, b`],
    ['--map of none', ['a', 'b'], `ad_id=${EVIL}`, `the file has no column ${SHOWN}; `],
    ['no ad', [EVIL, 'b'], '', `the file's columns are ${SHOWN}, b`],
    ['two of it', [EVIL, EVIL, 'b'], `ad_id=${EVIL}`, `two columns ${SHOWN}, `],
    [
      'two of an attribute',
      ['ad_id', 'event_time', `attributes.${EVIL}`, `attributes.${EVIL}`],
      '',
      `two columns attributes.${SHOWN}`,
    ],
  ])('is shown with its codes: %s', (_what, header, map, message) => {
    let said = '';
    try {
      mapped(header, map);
    } catch (error) {
      said = String(error);
    }
    expect(said).toContain(message);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for.
    expect(said).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
  });

  it('is shown so among the columns that fill nothing', () => {
    expect(columnList([`${EVIL}\n`, 'größe 👍'])).toBe(`${SHOWN}\\u000a, größe 👍`);
  });
});

describe('the click of a row', () => {
  const mapping = mapped(['ad_id', 'event_time', 'click_id', 'user_agent', 'test']);
  const click = (...values: string[]) => clickOfRow({ values, rowNumber: 1, line: 2 }, mapping, 'f');

  it('leaves out what is empty: an absent user agent is unknown, an empty one would be judged', () => {
    expect(click('a', '', '0198c5c2-0000-7000-8000-000000000000', '', '')).toEqual({
      kind: 'click',
      click: { event_time_ms: 0, ad_id: 'a', click_id: '0198c5c2-0000-7000-8000-000000000000' },
    });
  });

  it('marks tests, and refuses a mark that is neither yes nor no', () => {
    expect(click('a', '1', 'x', '', 'Yes')).toMatchObject({ click: { test: true } });
    expect(click('a', '1', 'x', '', 'maybe')).toMatchObject({
      kind: 'rejected',
      reason: expect.stringContaining('test "maybe" is neither yes nor no'),
    });
  });

  it('without an ad is refused', () => {
    expect(click('', '1', 'x', '', '')).toMatchObject({
      kind: 'rejected',
      reason: 'ad_id is empty; right is the id of an ad',
    });
  });

  it('says from where to where a row goes that a stray quote made long', () => {
    const outcome = clickOfRow({ values: ['a,1\nb,2\nc', '3'], rowNumber: 4, line: 9 }, mapping, 'f');
    expect(outcome).toMatchObject({ reason: expect.stringContaining('from line 7 to line 9') });
  });
});
