/** Who was seen since the last flush began, by ad and hour. Nobody asks for them before they are stored. */
import type { PeopleDelta } from '../domain/flush.ts';
import { HOUR_MS } from '../domain/peopleSpan.ts';

export class SeenPeople {
  readonly #ads = new Map<string, Map<number, Set<bigint>>>();
  #size = 0;

  /** How many people there are, of all ads and hours together. */
  get size(): number {
    return this.#size;
  }

  /** @param person undefined: not known, and so nobody */
  see(adId: string, minute: number, person: bigint | undefined): void {
    if (person === undefined) return;
    const keys = this.#keysOf(adId, Math.floor(minute / HOUR_MS) * HOUR_MS);
    const before = keys.size;
    keys.add(person);
    this.#size += keys.size - before;
  }

  get all(): PeopleDelta[] {
    return [...this.#ads].flatMap(([adId, hours]) =>
      [...hours].map(([hour, keys]) => ({ adId, hour, keys })),
    );
  }

  #keysOf(adId: string, hour: number): Set<bigint> {
    let hours = this.#ads.get(adId);
    if (hours === undefined) {
      hours = new Map();
      this.#ads.set(adId, hours);
    }
    let keys = hours.get(hour);
    if (keys === undefined) {
      keys = new Set();
      hours.set(hour, keys);
    }
    return keys;
  }
}
