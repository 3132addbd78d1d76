/**
 * What a redrive says: a line a letter, how far it has come where there are many, and the sums at the end. The lines
 * are the record of where clicks went, so they go to stdout, whatever their number.
 */
import type { Position } from '../../domain/position.ts';
import { formatCount, formatCountOf } from '../format.ts';
import { isTty, print, printError, showLive } from '../terminal.ts';

/** From so many letters on it is worth saying how far it has come. */
const MANY_LETTERS = 100;
/** Off a terminal, a line of progress comes every so many letters. */
const PROGRESS_EVERY_LETTERS = 1_000;

export class RedriveReport {
  readonly #waiting: number;
  readonly #dryRun: boolean;
  #redriven = 0;
  #unreadable = 0;
  #left = 0;
  #sawAll = false;

  /** @param waiting letters that are selected and not redriven yet */
  constructor(waiting: number, dryRun: boolean) {
    this.#waiting = waiting;
    this.#dryRun = dryRun;
  }

  redriven(letter: Position, to: Omit<Position, 'index'>): void {
    this.#redriven += 1;
    this.#say(letter, `redriven to shard ${to.shard}, sequence ${to.sequence}`);
  }

  wouldBeRedriven(letter: Position, shard: number): void {
    this.#redriven += 1;
    this.#say(letter, `would be redriven to shard ${shard}`);
  }

  unreadable(letter: Position, why: string): void {
    this.#unreadable += 1;
    this.#say(letter, why);
  }

  left(letter: Position, why: string): void {
    this.#left += 1;
    this.#say(letter, `left: ${why}`);
  }

  /** Every letter was looked at, but for those that another redrive marked meanwhile. */
  sawAll(): void {
    this.#sawAll = true;
  }

  stopped(why: string): void {
    printError(`stopped: ${why}; run it again when the servers answer, nothing is counted twice`);
  }

  /** The sums; ends the line of progress. Letters that were not looked at are left. */
  end(redrivenBefore: number): string {
    showLive('');
    const words = [
      `${formatCount(this.#redriven)} ${this.#dryRun ? 'would be redriven' : 'redriven'}`,
      `${formatCount(this.#unreadable)} still unreadable`,
      `${formatCount(this.#left + this.#unseen)} left`,
    ];
    const before = redrivenBefore === 0 ? '' : ` (${formatCount(redrivenBefore)} redriven before)`;
    return `${this.#dryRun ? 'dry run: ' : ''}${words.join(', ')}${before}`;
  }

  /** Whether every selected letter was redriven, or would be. */
  get isComplete(): boolean {
    return this.#sawAll && this.#redriven === this.#done;
  }

  get #unseen(): number {
    return this.#sawAll ? 0 : Math.max(0, this.#waiting - this.#done);
  }

  get #done(): number {
    return this.#redriven + this.#unreadable + this.#left;
  }

  #say({ shard, sequence, index }: Position, what: string): void {
    print(`shard ${shard}, sequence ${sequence}, index ${index}: ${what}`);
    if (this.#waiting < MANY_LETTERS) return;
    const progress = `${formatCount(this.#done)} of ${formatCountOf(this.#waiting, 'dead letter')}`;
    if (isTty()) showLive(progress);
    else if (this.#done % PROGRESS_EVERY_LETTERS === 0) printError(progress);
  }
}
