/** Times in files: a wrong one would book clicks at a wrong minute, a lenient one would invent some. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseEventTime } from '../../src/cli/import/eventTime.ts';

const AFTERNOON_MS = Date.UTC(2017, 10, 6, 16, 5, 0);

describe('the event time of a row', () => {
  it.each([
    ['2017-11-06 16:05', AFTERNOON_MS],
    ['2017-11-06 16:05:07', AFTERNOON_MS + 7_000],
    ['2017-11-06 9:05', Date.UTC(2017, 10, 6, 9, 5)],
    ['2017-11-06T16:05:00Z', AFTERNOON_MS],
    ['2017-11-06T16:05:00.25Z', AFTERNOON_MS + 250],
    ['2017-11-06T16:05:00.123456789Z', AFTERNOON_MS + 123],
    ['2017-11-06T21:50+05:45', AFTERNOON_MS],
    ['2017-11-06T11:05-0500', AFTERNOON_MS],
    ['2017-11-06', Date.UTC(2017, 10, 6)],
    [' 2017-11-06 16:05 ', AFTERNOON_MS],
    ['1509984300', AFTERNOON_MS],
    ['1509984300.5', AFTERNOON_MS + 500],
    ['1509984300000', AFTERNOON_MS],
    ['0', 0],
  ])('reads %s', (text, ms) => {
    expect(parseEventTime(text)).toBe(ms);
  });

  it.each([
    '',
    'yesterday',
    '2017-02-29 10:00',
    '2017-13-01',
    '2017-11-06 24:00',
    '2017-11-06 16:60',
    '06/11/2017 16:05',
    '2017-11-06 16',
    '1969-12-31 23:59',
    '-5',
    '1e9',
    '2017-11-06T16:05:00+99:00',
  ])('refuses %j', (text) => {
    expect(parseEventTime(text)).toBeUndefined();
  });

  it('reads back what Date writes, whatever the moment', () => {
    const moment = fc.date({ min: new Date(0), max: new Date('9999-12-31'), noInvalidDate: true });
    fc.assert(
      fc.property(moment, (date) => {
        expect(parseEventTime(date.toISOString())).toBe(date.getTime());
      }),
    );
  });
});
