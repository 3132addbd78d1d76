/**
 * Between the processes and the outside systems: requests and replies take their time, overtake each other, get lost,
 * take effect long after their sender has given up (or is dead), or twice.
 */
import type { Random } from '../support/random.ts';
import { LostConnection } from '../support/trouble.ts';
import type { Scheduler } from './scheduler.ts';
import type { SimProcess } from './simProcess.ts';

export type System = 'nats' | 'redis' | 'postgres' | 'disk';

/** How often a call meets each of these, of 1. */
export interface Weather {
  readonly lostRequest: number;
  readonly lostReply: number;
  readonly late: number;
  readonly twice: number;
  readonly slow: number;
}

export const CALM: Weather = { lostRequest: 0, lostReply: 0, late: 0, twice: 0, slow: 0 };

const LATENCY_MS = 8;
const SLOW_MS = 3_000;
const TIMEOUT_MS = 2_000;
const LATE_MS = 20_000;

export class Network {
  weather: Weather = CALM;
  /** Systems that answer nobody. */
  readonly away = new Set<System>();
  /** Processes that do not reach one system, though it is well. */
  readonly cutOff = new Map<SimProcess, System>();
  /** Hears of everything that is not as it should be. */
  readonly #trace: (line: string) => void;
  readonly #scheduler: Scheduler;
  readonly #random: Random;

  constructor(scheduler: Scheduler, random: Random, trace: (line: string) => void) {
    this.#scheduler = scheduler;
    this.#random = random;
    this.#trace = trace;
  }

  /** A request of `process`; `effect` happens at the system, at once and whole. */
  call<T>(process: SimProcess, system: System, operation: string, effect: () => Promise<T>): Promise<T> {
    const { lostRequest, lostReply, late, twice } = this.weather;
    const lot = this.#random.next();
    const who = `${process.name} ${operation}`;
    return new Promise((resolve, reject) => {
      const fail = (why: string) => {
        this.#trace(`${who}: ${why}`);
        process.later(this.#random.below(TIMEOUT_MS), () => reject(new LostConnection(`${who}: ${why}`)));
      };
      const run = (reply: boolean, delayMs: number) =>
        this.#scheduler.after(delayMs, () => {
          // It went away before the request came.
          if (this.isAway(process, system)) return reply ? fail(`${system} is away`) : undefined;
          effect().then(
            (result) => reply && process.later(this.#delay(), () => resolve(result)),
            (error) => reply && process.later(this.#delay(), () => reject(error)),
          );
        });
      if (this.isAway(process, system)) fail(`${system} is away`);
      else if (lot < lostRequest) fail('request lost');
      else if (lot < lostRequest + lostReply) {
        run(false, this.#delay());
        fail('reply lost');
      } else if (lot < lostRequest + lostReply + late) {
        run(false, this.#random.below(LATE_MS));
        fail('takes effect late');
      } else {
        run(true, this.#delay());
        if (lot < lostRequest + lostReply + late + twice) run(false, this.#random.below(LATE_MS));
      }
    });
  }

  /** Time passes before or after something that `process` does by itself; it may fail there. */
  async border(process: SimProcess, system: System, what: string): Promise<void> {
    const { lostRequest, lostReply } = this.weather;
    const lost = this.isAway(process, system) || this.#random.chance((lostRequest + lostReply) / 2);
    await process.timers.pause(this.#delay());
    if (!lost) return;
    this.#trace(`${process.name} ${what}: lost`);
    throw new LostConnection(`${process.name} ${what}: lost`);
  }

  /** Whether a message that nobody answers gets lost. */
  isLost(): boolean {
    return this.away.has('nats') || this.#random.chance(this.weather.lostRequest);
  }

  /** How long something takes now, milliseconds. */
  #delay(): number {
    return this.#random.below(this.#random.chance(this.weather.slow) ? SLOW_MS : LATENCY_MS);
  }

  /** Time passes. */
  latency(process: SimProcess): Promise<void> {
    return process.timers.pause(this.#delay());
  }

  /** A message comes over from the broker, when it is there. */
  async delivery(process: SimProcess): Promise<void> {
    do await process.timers.pause(this.#delay());
    while (this.isAway(process, 'nats'));
  }

  isAway(process: SimProcess, system: System): boolean {
    return this.away.has(system) || this.cutOff.get(process) === system;
  }
}
