/** One message of a shard's stream, decoded as far as judging needs it. */
import type { ClickFacts } from './clickRecord.ts';
import type { ClickDimensions } from './dimensions.ts';

export interface ClickBatch {
  /** The publisher had read the routing table at least up to here. */
  readonly routingSequence: number;
  readonly records: readonly DecodedRecord[];
}

export interface DecodedRecord {
  readonly bytes: Uint8Array;
  /** undefined: the record cannot be read, or lacks what every click has. */
  readonly facts: ClickFacts | undefined;
  /** Read only for whoever asks; the same object for the same values, as far as a bounded memory knows them. */
  readonly dimensions: ClickDimensions;
  /** What stands for who clicked (people.ts); undefined: nobody is known. Likewise read only for whoever asks. */
  readonly person: bigint | undefined;
}
