/** The values of a statement that is put together from pieces. */
export class Parameters {
  readonly values: unknown[] = [];

  /** What stands for the value in the text. */
  add(value: unknown): string {
    return `$${this.values.push(value)}`;
  }

  /** A moment in milliseconds since the Unix epoch. */
  addMoment(ms: number): string {
    return `to_timestamp(${this.add(ms)}::float8 / 1000)`;
  }

  /** Several of them. */
  addMoments(all: readonly number[]): string {
    return `${this.add(all.map((ms) => new Date(ms).toISOString()))}::timestamptz[]`;
  }
}
