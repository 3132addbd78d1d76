/** An ad actor: what it counted is visible until it is stored, and nowhere twice. */
import { describe, expect, it } from 'vitest';
import { AdActor } from '../../src/actors/adActor.ts';
import { countClick, emptyCounts } from '../../src/domain/windowCounts.ts';
import { NOON_MS, uuid7At } from '../support/clicks.ts';

const MINUTE = NOON_MS;
const NEXT = NOON_MS + 60_000;

describe('an ad actor', () => {
  it('says where a click opened a window, so that windows can be limited', () => {
    const actor = new AdActor('ad-1');
    expect(actor.count(MINUTE, uuid7At(1), 'VALID')).toBe(true);
    expect(actor.count(MINUTE, uuid7At(2), 'REPEAT')).toBe(false);
    expect(actor.count(NEXT, uuid7At(3), 'VALID')).toBe(true);
    actor.beginFlush();
    expect(actor.count(MINUTE, uuid7At(4), 'VALID')).toBe(true);
  });

  it('hands each window to one flush only, with its fingerprint', () => {
    const actor = new AdActor('ad-1');
    actor.count(MINUTE, uuid7At(1), 'VALID');
    actor.count(MINUTE, uuid7At(2), 'GIVT');
    const counts = emptyCounts();
    countClick(counts, uuid7At(1), 'VALID');
    countClick(counts, uuid7At(2), 'GIVT');
    expect(actor.beginFlush()).toEqual([{ adId: 'ad-1', minute: MINUTE, counts }]);
    expect(actor.flushed()).toBe(true);
    expect(actor.beginFlush()).toEqual([]);
  });

  it('shows counts of a flush under way together with newer ones, and only newer ones after it', () => {
    const actor = new AdActor('ad-1');
    actor.count(MINUTE, uuid7At(1), 'VALID');
    const [flushing] = actor.beginFlush();
    actor.count(MINUTE, uuid7At(2), 'VALID');
    actor.count(NEXT, uuid7At(3), 'DEFECTIVE');
    expect(actor.liveRows(MINUTE, NEXT + 1)).toMatchObject([
      { minute: MINUTE, valid: 2 },
      { minute: NEXT, defective: 1 },
    ]);
    // What is being written must not change under the writer.
    expect(flushing?.counts.valid).toBe(1);
    expect(actor.flushed()).toBe(false);
    expect(actor.liveRows(MINUTE, NEXT)).toMatchObject([{ minute: MINUTE, valid: 1 }]);
  });

  it('shows a half-open range, and no fingerprints', () => {
    const actor = new AdActor('ad-1');
    actor.count(MINUTE, uuid7At(1), 'SIVT');
    expect(actor.liveRows(MINUTE + 1, NEXT)).toEqual([]);
    expect(actor.liveRows(0, MINUTE)).toEqual([]);
    expect(actor.liveRows(MINUTE, MINUTE + 1)).toEqual([
      { adId: 'ad-1', minute: MINUTE, valid: 0, repeat: 0, givt: 0, sivt: 1, defective: 0, test: 0 },
    ]);
  });

  it('may leave memory only when everything it counted is stored', () => {
    const actor = new AdActor('ad-1');
    actor.count(MINUTE, uuid7At(1), 'VALID');
    actor.beginFlush();
    actor.count(MINUTE, uuid7At(2), 'VALID');
    expect(actor.flushed()).toBe(false);
    actor.beginFlush();
    expect(actor.flushed()).toBe(true);
  });
});
