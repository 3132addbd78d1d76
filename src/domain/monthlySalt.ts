/**
 * The salt of user keys, another one for each UTC month of clicks' event times: what it makes of a person in one month
 * says nothing of the same person in another. Each is made of the secret and the month alone, so every gateway, also one
 * that gets a click of last year, makes the same key of the same person and month.
 */
import { Hmac } from './hmac.ts';

/** Clicks of ten years have 121. Beyond they are made anew, which costs what a few keys cost. */
const MONTHS_MAX = 256;
/** Later moments have no calendar in JavaScript: they are all of the last month that begins before it. */
const CALENDAR_MS_MAX = 8.64e15;

export class MonthlySalt {
  readonly #secret: Hmac;
  readonly #months = new Map<string, Hmac>();
  #from = 0;
  #to = 0;
  #current: Hmac;

  constructor(secret: Uint8Array) {
    this.#secret = new Hmac(secret);
    this.#current = this.#ofMonth(0);
  }

  /** Hashes under the salt of the month that holds this moment, milliseconds since the Unix epoch. */
  at(timeMs: number): Hmac {
    if (timeMs >= this.#from && timeMs < this.#to) return this.#current;
    this.#current = this.#ofMonth(timeMs);
    return this.#current;
  }

  #ofMonth(timeMs: number): Hmac {
    const date = new Date(Math.min(timeMs, CALENDAR_MS_MAX));
    const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()];
    this.#from = Date.UTC(year, month);
    this.#to = Date.UTC(year, month + 1);
    const name = `${String(year).padStart(4, '0')}-${String(month + 1).padStart(2, '0')}`;
    let hmac = this.#months.get(name);
    if (hmac === undefined) {
      if (this.#months.size === MONTHS_MAX) this.#months.clear();
      hmac = new Hmac(this.#secret.of(`month\n${name}`));
      this.#months.set(name, hmac);
    }
    return hmac;
  }
}
