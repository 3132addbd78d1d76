/**
 * Rows of settled minutes in a Redis that query processes share. It must be one that forgets by itself: with a `maxmemory`,
 * and a policy that evicts. So it is never that of the fold, which must not (I7), and this refuses to write into it.
 *
 * Away, slow or full it only makes answers slower: every failure is an entry that is not there. What is stored is bounded by
 * the server, what is on its way to it by this (I14).
 */
import { Redis } from 'ioredis';
import type { Remembered, SharedMemory } from '../../domain/settledPart.ts';

/** The number rises when rows are stored in another way. */
const PREFIX = 'settled1:';
/** What nobody asks for any more goes; what is asked for is read anew once in that time. */
const KEPT_SECONDS = 7 * 86_400;
/** PostgreSQL reads an ordinary question in less than this. */
const COMMAND_TIMEOUT_MS = 50;
/** After a failure it is left alone for a while, so that questions do not wait for it one after the other. */
const REST_MS = 1_000;
const CONNECT_TIMEOUT_MS = 3_000;
const WRITTEN_BYTES_MAX = 16 * 1024 * 1024;

export interface AnswerMemoryParts {
  readonly url: string;
  readonly nowMs: () => number;
  /** Hears why it is not used: once each time that it is lost or not fit, and when the reason is another one. */
  readonly onTrouble: (error: Error) => void;
}

export class AnswerMemory implements SharedMemory {
  readonly #parts: AnswerMemoryParts;
  readonly #redis: Redis;
  #isFit = false;
  /** Why it is not used, as was told last. */
  #trouble: string | undefined;
  #restsUntilMs = 0;
  /** Bytes that are on their way to it. */
  #writing = 0;

  constructor(parts: AnswerMemoryParts) {
    this.#parts = parts;
    this.#redis = new Redis(parts.url, {
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      connectTimeout: CONNECT_TIMEOUT_MS,
      commandTimeout: COMMAND_TIMEOUT_MS,
      retryStrategy: (attempt) => Math.min(50 * attempt, 1_000),
    });
    this.#redis.on('error', (error: Error) => this.#troubled(error));
    this.#redis.on('close', () => {
      this.#isFit = false;
    });
    this.#redis.on('ready', () => void this.#check());
  }

  async get(question: string): Promise<Remembered | undefined> {
    if (!this.#isUsed) return undefined;
    try {
      const stored = await this.#redis.get(PREFIX + question);
      if (stored === null) return undefined;
      const border = stored.indexOf('\n');
      return { version: stored.slice(0, border), text: stored.slice(border + 1) };
    } catch {
      this.#rest();
      return undefined;
    }
  }

  set(question: string, { version, text }: Remembered): void {
    if (!this.#isUsed || this.#writing + text.length > WRITTEN_BYTES_MAX) return;
    this.#writing += text.length;
    this.#redis
      .set(PREFIX + question, `${version}\n${text}`, 'EX', KEPT_SECONDS)
      .catch(() => this.#rest())
      .finally(() => {
        this.#writing -= text.length;
      });
  }

  drop(questions: readonly string[]): void {
    if (!this.#isUsed) return;
    this.#redis.unlink(questions.map((question) => PREFIX + question)).catch(() => this.#rest());
  }

  close(): void {
    this.#redis.disconnect();
  }

  get #isUsed(): boolean {
    return this.#isFit && this.#parts.nowMs() >= this.#restsUntilMs;
  }

  #rest(): void {
    this.#restsUntilMs = this.#parts.nowMs() + REST_MS;
  }

  async #check(): Promise<void> {
    try {
      const memory = await this.#redis.info('memory');
      const policy = /maxmemory_policy:(\S+)/.exec(memory)?.[1] ?? '';
      const bytesMax = Number(/maxmemory:(\d+)/.exec(memory)?.[1]);
      this.#isFit = bytesMax > 0 && policy !== 'noeviction';
      if (this.#isFit) {
        this.#trouble = undefined;
        return;
      }
      this.#troubled(
        new Error(
          `CLICKLEDGER_CACHE_REDIS_URL is not used: that Redis has maxmemory ${bytesMax} and maxmemory-policy ${policy}; right is a maxmemory above 0 and a policy such as allkeys-lru, hence another server than REDIS_URL`,
        ),
      );
    } catch (error) {
      this.#troubled(error instanceof Error ? error : new Error(String(error)));
      // Looked at again with the next connection.
      this.#redis.disconnect(true);
    }
  }

  #troubled(error: Error): void {
    if (this.#trouble !== error.message) this.#parts.onTrouble(error);
    this.#trouble = error.message;
  }
}
