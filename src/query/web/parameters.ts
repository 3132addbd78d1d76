/**
 * Parameters of a web request: what may be asked, in the words of OpenAPI, and reading it. A name that is unknown, or
 * stands there twice, is refused and never passed over: a filter that was misspelt would give other numbers.
 * What the values mean is checked by the answers, as for gRPC.
 */
import { cut } from '../../domain/limits.ts';
import { ParameterError } from './problem.ts';
import { readTime } from './time.ts';

export interface Parameter {
  readonly name: string;
  readonly in: 'query' | 'path' | 'header';
  readonly required?: boolean;
  readonly description: string;
  readonly schema: Readonly<Record<string, unknown>>;
  readonly example?: unknown;
  /** In OpenAPI: whether a list is given by repeating the name (true), or with commas. */
  readonly explode?: boolean;
}

const SHOWN_BYTES_MAX = 200;

export class Parameters {
  readonly #given: ReadonlyMap<string, readonly string[]>;

  private constructor(given: ReadonlyMap<string, readonly string[]>) {
    this.#given = given;
  }

  /** @param path parameters of the path and of headers, by name */
  static read(
    declared: readonly Parameter[],
    query: URLSearchParams,
    path: Readonly<Record<string, string>>,
  ): Parameters {
    const given = new Map<string, string[]>(Object.entries(path).map(([name, value]) => [name, [value]]));
    const known = new Map(declared.filter((one) => one.in === 'query').map((one) => [one.name, one]));
    for (const [name, value] of query) {
      const parameter = known.get(name);
      if (parameter === undefined)
        throw new ParameterError(
          cut(name, SHOWN_BYTES_MAX),
          `parameter ${shown(name)} is unknown: ${known.size === 0 ? 'there are none' : `known are ${[...known.keys()].join(', ')}`}`,
        );
      const values = given.get(name) ?? [];
      if (values.length > 0 && parameter.schema['type'] !== 'array')
        throw new ParameterError(name, `${name} stands there twice: it may be given once`);
      given.set(name, [...values, value]);
    }
    for (const { name, required } of declared) {
      if (required && !given.has(name)) throw new ParameterError(name, `${name} is missing`);
    }
    return new Parameters(given);
  }

  /** All values of a parameter that may be repeated. */
  texts(name: string): string[] {
    return [...(this.#given.get(name) ?? [])];
  }

  /** Empty where it is not given. */
  text(name: string): string {
    return this.#given.get(name)?.[0] ?? '';
  }

  /** An id, or the beginning of one. PostgreSQL has no texts with the character 0, and no id has it. */
  id(name: string): string {
    const text = this.text(name);
    if (text.includes('\0'))
      throw new ParameterError(name, `${name} ${shown(text)} is wrong: it must not hold the character 0`);
    return text;
  }

  /** Names, with commas between them or each by itself. */
  names(name: string): string[] {
    return this.texts(name)
      .flatMap((text) => text.split(','))
      .filter((text) => text !== '');
  }

  /** A name of the contract's enumerations, which are in capitals. */
  word(name: string): string {
    return this.text(name).toUpperCase();
  }

  has(name: string): boolean {
    return this.#given.has(name);
  }

  /** Milliseconds since the Unix epoch. */
  time(name: string): number {
    const text = this.text(name);
    const ms = readTime(text);
    if (ms === undefined)
      throw new ParameterError(
        name,
        `${name} ${shown(text)} is wrong: it must be milliseconds since 1970, or ISO 8601 with Z or an offset such as 2024-03-01T00:00Z`,
      );
    return ms;
  }

  /** 0 where it is not given. */
  wholeNumber(name: string, max: number): number {
    const text = this.text(name);
    if (text === '' && !this.has(name)) return 0;
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= 1 && value <= max))
      throw new ParameterError(
        name,
        `${name} ${shown(text)} is wrong: it must be a whole number from 1 to ${max}`,
      );
    return value;
  }

  number(name: string): number {
    const text = this.text(name);
    const value = /^\d+(\.\d+)?(e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN;
    if (!Number.isFinite(value))
      throw new ParameterError(name, `${name} ${shown(text)} is wrong: it must be a number`);
    return value;
  }

  flag(name: string): boolean {
    const text = this.has(name) ? this.text(name) : 'false';
    if (text !== 'true' && text !== 'false')
      throw new ParameterError(name, `${name} ${shown(text)} is wrong: it must be true or false`);
    return text === 'true';
  }
}

export function shown(text: string): string {
  return JSON.stringify(cut(text, SHOWN_BYTES_MAX));
}
