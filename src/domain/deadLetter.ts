/** A record that cannot be judged: it is kept with its reason, and counted as such, never dropped (I12). */
export interface DeadLetter {
  readonly sequence: number;
  /** The record's place in its message; 0 where the message itself cannot be read. */
  readonly index: number;
  readonly reason: 'undecodable' | 'misrouted';
  readonly bytes: Uint8Array;
}
