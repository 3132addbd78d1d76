/**
 * The routing table's stream in memory (I3): entries that nobody can edit, appended by a compare-and-set on the last
 * sequence. Each process opens a log of its own and knows only what it has read.
 */
import { type RoutingEntry, RoutingTable } from '../../src/domain/routingTable.ts';
import type { RuleSet } from '../../src/domain/ruleSet.ts';
import { Trouble } from './trouble.ts';

export class MemoryRoutingStream {
  readonly entries: RoutingEntry[] = [];

  constructor(shards: number, rules: RuleSet) {
    this.entries.push({ kind: 'created', shards, rules });
  }

  /** A process's view of it, read to the end. */
  open(): MemoryRoutingLog {
    return new MemoryRoutingLog(this);
  }
}

export class MemoryRoutingLog {
  readonly trouble = new Trouble();
  readonly table: RoutingTable;
  readonly #stream: MemoryRoutingStream;

  constructor(stream: MemoryRoutingStream) {
    const [created] = stream.entries;
    if (created === undefined) throw new Error('the routing stream is empty');
    this.#stream = stream;
    this.table = RoutingTable.create(1, created);
    this.#catchUp();
  }

  read(): Promise<void> {
    return this.trouble.around('read', () => this.#catchUp());
  }

  async readThrough(sequence: number): Promise<void> {
    if (this.table.sequence >= sequence) return;
    await this.read();
    if (this.table.sequence < sequence)
      throw new Error(`a message names routing entry ${sequence}, the table ends at ${this.table.sequence}`);
  }

  /** False: somebody else appended since the last read. Either way the table is read again. */
  async append(entry: RoutingEntry): Promise<boolean> {
    this.table.check(entry);
    const last = this.table.sequence;
    const appended = await this.trouble.around('append', () => {
      if (this.#stream.entries.length !== last) return false;
      this.#stream.entries.push(entry);
      return true;
    });
    await this.read();
    return appended;
  }

  #catchUp(): void {
    for (const entry of this.#stream.entries.slice(this.table.sequence))
      this.table.append(this.table.sequence + 1, entry);
  }
}
