/** Values of options as commander hands them over, checked: the message says what would be right. */
import { InvalidArgumentError } from 'commander';
import { formatDuration, parseDuration } from '../domain/duration.ts';

export function wholeNumberOption(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`Right is a whole number from ${min} to ${max}.`);
  };
}

/** Milliseconds. */
export function durationOption(minMs: number, maxMs: number): (text: string) => number {
  return (text) => {
    const ms = parseDuration(text);
    if (ms !== undefined && ms >= minMs && ms <= maxMs) return ms;
    throw new InvalidArgumentError(
      `Right is a whole number with a unit (ms, s, m, h, d), from ${formatDuration(minMs)} to ${formatDuration(maxMs)}.`,
    );
  };
}

export function listOption(text: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), text];
}
