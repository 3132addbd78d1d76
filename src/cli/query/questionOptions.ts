/** Options of commands that ask for counts: which ads, and which clicks of them. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Filter } from '../../contract/generated/clickledger/v1/Filter.ts';
import { DIMENSIONS, QUARTER_MS } from '../../domain/dimensions.ts';
import { MINUTE_MS } from '../../domain/windowCounts.ts';

export interface AdOptions {
  readonly campaigns?: string[];
  readonly advertisers?: string[];
  readonly filter: Filter[];
}

export function withAdOptions(command: Command): Command {
  return command
    .option('--campaigns <ids>', 'of these campaigns instead of ads; commas between', listOf)
    .option('--advertisers <ids>', 'likewise of advertisers', listOf)
    .addOption(
      new Option(
        '--filter <dimension=values>',
        'only clicks with these values (os=iOS,Android), or without them (os!=iOS); an empty one: not known. May be repeated',
      )
        .argParser(addFilter)
        .default([], 'all clicks'),
    );
}

/** Names with commas between. */
export function listOf(text: string): string[] {
  return text.split(',').map((name) => name.trim());
}

export function addFilter(text: string, filters: readonly Filter[]): Filter[] {
  const [, dimension, not, values] = /^([^=!]+)(!?)=(.*)$/s.exec(text) ?? [];
  if (dimension === undefined || values === undefined) {
    throw new InvalidArgumentError(`right is os=iOS,Android or os!=iOS`);
  }
  return [...filters, { dimension: dimension.trim(), [not === '!' ? 'exclude' : 'include']: listOf(values) }];
}

/** The fields of a request that choose ads and clicks. */
export function adFields(adIds: readonly string[], { campaigns = [], advertisers = [], filter }: AdOptions) {
  return {
    ad_ids: [...new Set(adIds)],
    campaign_ids: campaigns,
    advertiser_ids: advertisers,
    filters: filter,
  };
}

/** Dimensions of clicks are counted by quarters of an hour. */
export function stepOf(dimensions: readonly string[], filters: readonly Filter[]): number {
  const names = [...dimensions, ...filters.map(({ dimension }) => dimension ?? '')];
  return names.some((name) => (DIMENSIONS as readonly string[]).includes(name)) ? QUARTER_MS : MINUTE_MS;
}
