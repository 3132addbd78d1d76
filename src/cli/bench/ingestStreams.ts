/**
 * The client of a measurement: sends requests that were encoded before over a few ingest streams. It costs little and
 * skips nothing: of each answer it reads whether every click was ACCEPTED.
 *
 * A request is answered before the one WINDOW places behind it is sent on the same stream. So at most STREAMS × WINDOW
 * requests wait, which is what lets the gateway's group commit gather as it does at peak.
 */
import { Client, type ClientDuplexStream, credentials } from '@grpc/grpc-js';
import protobuf from 'protobufjs/minimal.js';
import { ClickIngestService } from '../../adapters/grpc/contract.ts';
import { DELIMITED, tag, VARINT } from '../../adapters/nats/clickFields.ts';
import type { EncodedBatch } from './workload.ts';

export const STREAMS = 4;
/** Below what the gateway reads of a stream before it answers, 16. */
export const WINDOW = 4;

type Stream = ClientDuplexStream<Buffer, Buffer>;

const bytesAsTheyAre = (bytes: Buffer) => bytes;

export class IngestStreams {
  readonly #client: Client;
  readonly #streams: { readonly stream: Stream; readonly sent: EncodedBatch[] }[] = [];
  readonly #waiting: EncodedBatch[] = [];
  #next = 0;
  #unanswered = 0;
  #failure: Error | undefined;
  #wake: (() => void) | undefined;

  constructor(address: string) {
    this.#client = new Client(address, credentials.createInsecure());
    const { path } = ClickIngestService.service.StreamIngestClicks;
    for (let number = 0; number < STREAMS; number += 1) {
      const stream: Stream = this.#client.makeBidiStreamRequest(path, bytesAsTheyAre, bytesAsTheyAre);
      const lane = { stream, sent: [] as EncodedBatch[] };
      this.#streams.push(lane);
      stream.on('data', (answer: Buffer) => this.#answered(lane.sent.shift(), answer));
      stream.on('error', (error) => this.#fail(error));
      stream.on('end', () => this.#fail(new Error('the gateway ended an ingest stream')));
    }
  }

  /** Sends these as soon as there is room. */
  push(batches: readonly EncodedBatch[]): void {
    for (const batch of batches) this.#waiting.push(batch);
    this.#unanswered += batches.length;
    this.#pump();
  }

  /** Resolves when all clicks are durable. @throws Error where one was not ACCEPTED */
  async drained(): Promise<void> {
    while (this.#unanswered > 0 && this.#failure === undefined)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    if (this.#failure !== undefined) throw this.#failure;
  }

  close(): void {
    for (const { stream } of this.#streams) {
      // Nobody waits any more for what it says.
      stream.cancel();
    }
    this.#client.close();
  }

  /** Streams take turns, so that none runs empty while another is full. */
  #pump(): void {
    let full = 0;
    while (this.#waiting.length > 0 && full < STREAMS) {
      const lane = this.#streams[this.#next];
      this.#next = (this.#next + 1) % STREAMS;
      if (lane === undefined || lane.sent.length >= WINDOW) {
        full += 1;
        continue;
      }
      full = 0;
      const batch = this.#waiting.shift();
      if (batch === undefined) return;
      lane.sent.push(batch);
      lane.stream.write(batch.bytes);
    }
  }

  #answered(batch: EncodedBatch | undefined, answer: Buffer): void {
    const accepted = countAccepted(answer);
    if (accepted !== batch?.clicks) {
      this.#fail(new Error(`${accepted} of ${batch?.clicks} clicks of a request were accepted`));
      return;
    }
    this.#unanswered -= 1;
    this.#pump();
    if (this.#unanswered === 0) this.#wake?.();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#wake?.();
  }
}

/** Field `results` of BatchIngestClicksResponse, `status` of IngestResult and its value. */
const RESULTS = tag(1, DELIMITED);
const STATUS = tag(1, VARINT);
const ACCEPTED = 1;

/** How many results of an answer begin with the status ACCEPTED; the rest of each is skipped. */
function countAccepted(answer: Buffer): number {
  const reader = protobuf.Reader.create(answer);
  let accepted = 0;
  while (reader.pos < reader.len) {
    if (reader.uint32() !== RESULTS) return Number.NaN;
    const end = reader.uint32() + reader.pos;
    if (answer[reader.pos] === STATUS && answer[reader.pos + 1] === ACCEPTED) accepted += 1;
    reader.pos = end;
  }
  return accepted;
}
