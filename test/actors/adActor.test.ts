/** An ad actor: what it counted is visible until it is stored, and nowhere twice. */
import { describe, expect, it } from 'vitest';
import { AdActor } from '../../src/actors/adActor.ts';
import { NO_DIMENSIONS } from '../../src/domain/dimensions.ts';
import { countClick, type Disposition, emptyCounts } from '../../src/domain/windowCounts.ts';
import { NOON_MS, uuid7At } from '../support/clicks.ts';

const MINUTE = NOON_MS;
const NEXT = NOON_MS + 60_000;
const ALL = { fromMs: 0, toMs: Infinity };
const PHONE = { ...NO_DIMENSIONS, country: 'DE', device_type: 'mobile', os: 'Android' };

function count(
  actor: AdActor,
  minute: number,
  number: number,
  disposition: Disposition,
  values = NO_DIMENSIONS,
) {
  return actor.count(minute, uuid7At(number), values, disposition);
}

describe('an ad actor', () => {
  it('says how many rows a click brings, so that they can be limited', () => {
    const actor = new AdActor('ad-1');
    // Of the minute, the hour and the day.
    expect(count(actor, MINUTE, 1, 'VALID')).toBe(3);
    expect(count(actor, MINUTE, 2, 'REPEAT')).toBe(0);
    expect(count(actor, NEXT, 3, 'VALID')).toBe(3);
    // Country and device, country and publisher, and the operating system.
    expect(count(actor, NEXT, 4, 'VALID', PHONE)).toBe(3);
    expect(count(actor, NEXT + 60_000, 5, 'VALID', PHONE)).toBe(3);
    expect(count(actor, NEXT + 900_000, 6, 'VALID', PHONE)).toBe(6);
    actor.beginFlush();
    expect(count(actor, MINUTE, 7, 'VALID', PHONE)).toBe(6);
  });

  it('hands each window to one flush only, with its fingerprint, and its dimensions', () => {
    const actor = new AdActor('ad-1');
    count(actor, MINUTE, 1, 'VALID', PHONE);
    count(actor, MINUTE, 2, 'GIVT');
    const counts = emptyCounts();
    countClick(counts, uuid7At(1), 'VALID');
    countClick(counts, uuid7At(2), 'GIVT');
    const { rows, rollups } = actor.beginFlush();
    expect(rows).toEqual([{ adId: 'ad-1', minute: MINUTE, counts }]);
    expect(rollups).toMatchObject([
      { adId: 'ad-1', quarter: MINUTE, kind: 1, value: 'DE', value2: 'mobile', valid: 1, givt: 0 },
      { adId: 'ad-1', quarter: MINUTE, kind: 2, value: '', value2: 'DE', valid: 1 },
      { adId: 'ad-1', quarter: MINUTE, kind: 4, value: 'Android', value2: '', valid: 1 },
    ]);
    expect(actor.flushed()).toBe(true);
    expect(actor.beginFlush()).toEqual({ rows: [], rollups: [] });
  });

  it('shows counts of a flush under way together with newer ones, and only newer ones after it', () => {
    const actor = new AdActor('ad-1');
    count(actor, MINUTE, 1, 'VALID', PHONE);
    const { rows, rollups } = actor.beginFlush();
    count(actor, MINUTE, 2, 'VALID', PHONE);
    count(actor, NEXT, 3, 'DEFECTIVE');
    expect([...actor.liveRows(ALL)]).toMatchObject([
      { minute: MINUTE, valid: 1 },
      { minute: MINUTE, valid: 1 },
      { minute: NEXT, defective: 1 },
    ]);
    expect([...actor.liveRollups(4, ALL)]).toMatchObject([
      { value: 'Android', valid: 1 },
      { value: 'Android', valid: 1 },
    ]);
    // What is being written must not change under the writer.
    expect(rows[0]?.counts.valid).toBe(1);
    expect(rollups.every(({ valid }) => valid === 1)).toBe(true);
    expect(actor.flushed()).toBe(false);
    expect([...actor.liveRows({ fromMs: MINUTE, toMs: NEXT })]).toMatchObject([{ minute: MINUTE, valid: 1 }]);
    expect([...actor.liveRollups(4, ALL)]).toMatchObject([{ value: 'Android', valid: 1 }]);
  });

  it('shows a half-open range, and no fingerprints', () => {
    const actor = new AdActor('ad-1');
    count(actor, MINUTE, 1, 'SIVT', PHONE);
    expect([...actor.liveRows({ fromMs: MINUTE + 1, toMs: NEXT })]).toEqual([]);
    expect([...actor.liveRows({ fromMs: 0, toMs: MINUTE })]).toEqual([]);
    expect([...actor.liveRollups(4, { fromMs: 0, toMs: MINUTE })]).toEqual([]);
    expect([...actor.liveRollups(4, { fromMs: MINUTE, toMs: MINUTE + 900_000 })]).toHaveLength(1);
    expect([...actor.liveRows({ fromMs: MINUTE, toMs: MINUTE + 1 })]).toEqual([
      { adId: 'ad-1', minute: MINUTE, valid: 0, repeat: 0, givt: 0, sivt: 1, defective: 0, test: 0 },
    ]);
  });

  it('may leave memory only when everything it counted is stored', () => {
    const actor = new AdActor('ad-1');
    count(actor, MINUTE, 1, 'VALID');
    actor.beginFlush();
    count(actor, MINUTE, 2, 'VALID');
    expect(actor.flushed()).toBe(false);
    actor.beginFlush();
    expect(actor.flushed()).toBe(true);
  });
});
