/**
 * Sends clicks as an ad server does that wants each of them counted: the same clicks with the same ids again, until the
 * gateway has answered for them.
 */
import { callErrorKind } from '../../../src/adapters/grpc/callError.ts';
import { type IngestClient, ingestClient } from '../../../src/adapters/grpc/clients.ts';
import type { Click } from '../../../src/contract/generated/clickledger/v1/Click.ts';
import type { IngestResult__Output as IngestResult } from '../../../src/contract/generated/clickledger/v1/IngestResult.ts';

/** Shorter than the outages of these tests: a call that hangs is given up and sent again. */
const CALL_DEADLINE_MS = 5_000;
const AGAIN_MS = 50;

/** What a sender needs to know of the load that it belongs to. */
export interface SendersHost {
  readonly address: string;
  /** Throws where the load was given up. */
  check(): void;
  answered(clicks: readonly Click[], results: readonly IngestResult[]): void;
}

export class GrpcSenders {
  readonly #host: SendersHost;
  readonly #client: IngestClient;

  constructor(host: SendersHost) {
    this.#host = host;
    this.#client = ingestClient(host.address, CALL_DEADLINE_MS);
  }

  close(): void {
    this.#client.close();
  }

  /** One call a batch, until it is answered. */
  async sendBatch(clicks: readonly Click[]): Promise<void> {
    for (;;) {
      this.#host.check();
      try {
        const { results } = await this.#client.batchIngestClicks({ source: 'fault', clicks: [...clicks] });
        this.#host.answered(clicks, results);
        return;
      } catch (error) {
        await this.#again(error);
      }
    }
  }

  /** Several requests over one stream; those without an answer go again over another one. */
  async sendStream(batches: readonly (readonly Click[])[]): Promise<void> {
    let unanswered = [...batches];
    while (unanswered.length > 0) {
      this.#host.check();
      try {
        await this.#oneStream(unanswered, (clicks) => {
          unanswered = unanswered.filter((batch) => batch !== clicks);
        });
      } catch (error) {
        await this.#again(error);
      }
    }
  }

  #oneStream(
    batches: readonly (readonly Click[])[],
    onAnswer: (clicks: readonly Click[]) => void,
  ): Promise<void> {
    const stream = this.#client.streamIngestClicks();
    const waiting = [...batches];
    return new Promise((resolve, reject) => {
      const bound = setTimeout(() => {
        stream.cancel();
        reject(new NoAnswerError());
      }, CALL_DEADLINE_MS);
      const finish = (end: () => void) => {
        clearTimeout(bound);
        end();
      };
      stream.on('data', ({ results }: { results: IngestResult[] }) => {
        const clicks = waiting.shift();
        if (clicks === undefined) return;
        try {
          this.#host.answered(clicks, results);
          onAnswer(clicks);
        } catch (error) {
          finish(() => reject(error));
        }
      });
      stream.on('end', () => finish(resolve));
      stream.on('error', (error) => finish(() => reject(error)));
      for (const clicks of batches) stream.write({ source: 'fault', clicks: [...clicks] });
      stream.end();
    });
  }

  async #again(error: unknown): Promise<void> {
    if (!(error instanceof NoAnswerError) && callErrorKind(error) === 'final') throw error;
    await Bun.sleep(AGAIN_MS);
  }
}

class NoAnswerError extends Error {}
