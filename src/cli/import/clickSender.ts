/**
 * Sends batches of rows over StreamIngestClicks and hands each batch out again with its answer, exactly once.
 *
 * S1 At most `windowBatches` batches are unanswered; `send` waits for room. That is the whole memory of an import.
 * S2 Answers come in the order of the requests, so the oldest sent batch is the one that is answered.
 * S3 A stream that breaks is replaced, and what was not answered is sent again, the same batch objects and so the
 *    same click_ids: what the gateway had taken already is a duplicate there. An answer from a replaced stream is
 *    not heard, so no batch is answered twice.
 * S4 RESOURCE_EXHAUSTED halves what is in flight before it is sent again; each answer lets one batch more in flight.
 * S5 Without an answer for the retry budget it fails; errors that sending again cannot cure fail at once.
 * S6 After a failure `send` and `drained` throw it; nothing is sent any more.
 */
import { type ServiceError, status } from '@grpc/grpc-js';
import { callErrorKind } from '../../adapters/grpc/callError.ts';
import type { IngestStream } from '../../adapters/grpc/clients.ts';
import type { BatchIngestClicksResponse__Output } from '../../contract/generated/clickledger/v1/BatchIngestClicksResponse.ts';
import type { Click } from '../../contract/generated/clickledger/v1/Click.ts';
import type { IngestResult__Output } from '../../contract/generated/clickledger/v1/IngestResult.ts';
import { RetryBudget } from './retryBudget.ts';

export interface RowBatch {
  readonly clicks: readonly Click[];
  /** The line in the file of each click. */
  readonly lines: readonly number[];
}

export interface SenderOptions {
  readonly openStream: () => IngestStream;
  /** Name of the sender, as the gateway keeps it with the clicks. */
  readonly source: string;
  readonly windowBatches: number;
  readonly retryForMs: number;
  /** A stream that owes an answer for longer counts as broken. */
  readonly answerTimeoutMs: number;
  readonly nowMs: () => number;
  readonly onAnswer: (batch: RowBatch, results: readonly IngestResult__Output[]) => void;
  /** Called before each wait for another try. */
  readonly onTrouble: (error: Error, waitMs: number, leftMs: number) => void;
}

type Mode =
  | { readonly kind: 'idle' }
  | { readonly kind: 'open'; readonly stream: IngestStream; sent: number }
  | { readonly kind: 'waiting'; readonly timer: NodeJS.Timeout }
  | { readonly kind: 'failed'; readonly error: Error }
  | { readonly kind: 'closed' };

export class ClickSender {
  readonly #options: SenderOptions;
  readonly #budget: RetryBudget;
  readonly #unanswered: RowBatch[] = [];
  #mode: Mode = { kind: 'idle' };
  #inFlightMax: number;
  #answerTimer: NodeJS.Timeout | undefined;
  #waiters: (() => void)[] = [];

  constructor(options: SenderOptions) {
    this.#options = options;
    this.#budget = new RetryBudget(options.retryForMs);
    this.#inFlightMax = options.windowBatches;
  }

  /** Takes the batch over when there is room for it (S1). */
  async send(batch: RowBatch): Promise<void> {
    while (this.#isRunning() && this.#unanswered.length >= this.#options.windowBatches) await this.#change();
    this.#throwFailure();
    if (this.#mode.kind === 'closed') return;
    this.#unanswered.push(batch);
    if (this.#mode.kind === 'idle') this.#open();
    else this.#pump();
  }

  /** Resolves when every batch has its answer, or the sender was closed. */
  async drained(): Promise<void> {
    while (this.#isRunning() && this.#unanswered.length > 0) await this.#change();
    this.#throwFailure();
  }

  /** Whether it waits to try again at the moment. */
  get isInTrouble(): boolean {
    return this.#mode.kind === 'waiting';
  }

  /** Rows that were taken over and have no answer. */
  get unansweredRows(): number {
    return this.#unanswered.reduce((sum, batch) => sum + batch.clicks.length, 0);
  }

  close(): void {
    if (this.#mode.kind === 'open') {
      if (this.#mode.sent === 0) this.#mode.stream.end();
      else this.#mode.stream.cancel();
    }
    if (this.#isRunning()) this.#enter({ kind: 'closed' });
  }

  #isRunning(): boolean {
    return this.#mode.kind !== 'failed' && this.#mode.kind !== 'closed';
  }

  #throwFailure(): void {
    if (this.#mode.kind === 'failed') throw this.#mode.error;
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  #notify(): void {
    for (const wake of this.#waiters.splice(0)) wake();
  }

  #enter(mode: Mode): void {
    if (this.#mode.kind === 'waiting') clearTimeout(this.#mode.timer);
    clearTimeout(this.#answerTimer);
    this.#mode = mode;
    this.#notify();
  }

  #open(): void {
    const stream = this.#options.openStream();
    this.#enter({ kind: 'open', stream, sent: 0 });
    // A replaced stream may still speak; it is not heard (S3).
    const whileCurrent = (react: () => void) => {
      if (this.#mode.kind === 'open' && this.#mode.stream === stream) react();
    };
    stream.on('data', (answer: BatchIngestClicksResponse__Output) =>
      whileCurrent(() => this.#answered(answer)),
    );
    stream.on('error', (error: ServiceError) => whileCurrent(() => this.#broken(error)));
    stream.on('end', () => whileCurrent(() => this.#ended()));
    this.#pump();
  }

  #pump(): void {
    if (this.#mode.kind !== 'open') return;
    while (this.#mode.sent < Math.min(this.#unanswered.length, this.#inFlightMax)) {
      const batch = this.#unanswered[this.#mode.sent];
      if (batch === undefined) return;
      if (this.#mode.sent === 0) this.#watchForAnswer();
      this.#mode.sent += 1;
      // What write says about its buffer is not asked for: the window bounds it (S1).
      this.#mode.stream.write({ source: this.#options.source, clicks: [...batch.clicks] });
    }
  }

  #answered({ results }: BatchIngestClicksResponse__Output): void {
    const batch = this.#unanswered[0];
    if (this.#mode.kind !== 'open' || batch === undefined || this.#mode.sent === 0) {
      this.#fail(new Error('the gateway sent an answer to a request that was never sent'));
      return;
    }
    if (results.length !== batch.clicks.length) {
      this.#fail(
        new Error(`the gateway answered ${batch.clicks.length} clicks with ${results.length} results`),
      );
      return;
    }
    this.#unanswered.shift();
    this.#mode.sent -= 1;
    this.#budget.succeeded();
    this.#inFlightMax = Math.min(this.#inFlightMax + 1, this.#options.windowBatches);
    clearTimeout(this.#answerTimer);
    if (this.#mode.sent > 0) this.#watchForAnswer();
    this.#options.onAnswer(batch, results);
    this.#pump();
    this.#notify();
  }

  #watchForAnswer(): void {
    const { answerTimeoutMs } = this.#options;
    this.#answerTimer = setTimeout(() => {
      if (this.#mode.kind !== 'open') return;
      const { stream } = this.#mode;
      this.#retryLater(new Error(`the gateway owes an answer for ${answerTimeoutMs / 1_000} s`));
      stream.cancel();
    }, answerTimeoutMs);
  }

  #broken(error: ServiceError): void {
    switch (callErrorKind(error)) {
      case 'busy':
        this.#inFlightMax = Math.max(1, Math.floor(this.#inFlightMax / 2)); // S4
        this.#retryLater(error);
        return;
      case 'broken':
        this.#retryLater(error);
        return;
      case 'final':
        this.#fail(error);
    }
  }

  #ended(): void {
    if (this.#unanswered.length === 0) this.#enter({ kind: 'idle' });
    else
      this.#retryLater(
        new Error(`the gateway ended the stream with ${status[status.OK]} before it had answered`),
      );
  }

  #retryLater(error: Error): void {
    const decision = this.#budget.failed(this.#options.nowMs());
    if (decision.kind === 'giveUp') {
      this.#fail(error);
      return;
    }
    this.#enter({ kind: 'waiting', timer: setTimeout(() => this.#open(), decision.waitMs) });
    this.#options.onTrouble(error, decision.waitMs, decision.leftMs);
  }

  #fail(error: Error): void {
    if (this.#mode.kind === 'open') this.#mode.stream.cancel();
    this.#enter({ kind: 'failed', error });
  }
}
