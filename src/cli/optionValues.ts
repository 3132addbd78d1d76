/** Values of options as commander hands them over, checked: the message says what would be right. */

import { InvalidArgumentError } from 'commander';
import { formatDuration, parseDuration } from '../domain/duration.ts';
import { AD_ID_BYTES_MAX, isId } from '../domain/limits.ts';

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

/** An ad that cannot be is not looked for: nothing would differ, which reads like a proof. */
export function adList(text: string, before: readonly string[] = []): readonly string[] {
  const ads = text.split(',');
  if (!ads.every((ad) => isId(ad, AD_ID_BYTES_MAX))) {
    throw new InvalidArgumentError(
      `Right are ids of 1 to ${AD_ID_BYTES_MAX} bytes without control characters, with commas between.`,
    );
  }
  return [...before, ...ads];
}
