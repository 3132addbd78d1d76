/** `clickledger dead-letters`: records that could not be judged: look at them, and give them to counting again. */
import { Command, Option } from 'commander';
import { readSettings } from '../../adapters/environment/settings.ts';
import { decodeClickBatch, decodeClickFacts } from '../../adapters/nats/clickBatchCodec.ts';
import { ClickPublisher } from '../../adapters/nats/clickPublisher.ts';
import { Connectivity } from '../../adapters/nats/connectivity.ts';
import { markRedriven } from '../../adapters/postgres/markRedriven.ts';
import {
  countDeadLetters,
  newestDeadLetters,
  waitingDeadLetters,
} from '../../adapters/postgres/readDeadLetters.ts';
import {
  DEAD_LETTER_REASONS,
  type DeadLetterReason,
  type DeadLetterSelection,
} from '../../domain/deadLetter.ts';
import type { LetterReader } from '../../domain/redrive.ts';
import { CliError } from '../cliError.ts';
import { endWithClosedPipe } from '../closedPipe.ts';
import { letterJson, letterLine, renderLetters, renderNoLetters } from '../deadLetters/letterTable.ts';
import { redriveLetters } from '../deadLetters/redriveLetters.ts';
import { RedriveReport } from '../deadLetters/redriveReport.ts';
import { wholeNumberOption } from '../optionValues.ts';
import { type Broker, installation, withBroker, withLedger } from '../servers.ts';
import { print, printError } from '../terminal.ts';

const NAME = 'dead-letters';
const EXIT_NOT_ALL = 1;
const SHARD_MAX = 1_023;
const SEQUENCE_MAX = 999_999_999_999_999;
const INDEX_MAX = 2_147_483_647;
const LIMIT_MAX = 10_000;

const READER: LetterReader = { batch: decodeClickBatch, record: decodeClickFacts };

export function deadLettersCommand(): Command {
  return new Command('dead-letters')
    .description('records that could not be judged: show them, or give them to counting again')
    .addCommand(listCommand())
    .addCommand(redriveCommand());
}

interface ListOptions {
  readonly shard?: number;
  readonly reason?: DeadLetterReason;
  readonly limit: number;
  readonly json?: boolean;
}

function listCommand(): Command {
  return new Command('list')
    .description('show dead letters, the newest first')
    .option('--shard <number>', 'only of this shard', wholeNumberOption(0, SHARD_MAX))
    .addOption(new Option('--reason <reason>', 'only with this reason').choices(DEAD_LETTER_REASONS))
    .option('--limit <number>', 'at most so many', wholeNumberOption(1, LIMIT_MAX), 50)
    .option('--json', 'print a JSON object a line, with the bytes as base64')
    .action(list);
}

async function list({ shard, reason, limit, json }: ListOptions): Promise<void> {
  endWithClosedPipe();
  const selection: DeadLetterSelection = { shard, reason };
  await withLedger(NAME, async ({ pool }) => {
    const lines: (readonly string[])[] = [];
    for await (const letter of newestDeadLetters(pool, selection, limit)) {
      if (json === true) print(letterJson(letter, READER));
      else lines.push(letterLine(letter, READER));
    }
    if (json === true) return;
    if (lines.length === 0) print(renderNoLetters(selection));
    else print(renderLetters(lines, await countDeadLetters(pool, selection)));
  });
}

interface RedriveOptions {
  readonly shard?: number;
  readonly sequence?: number;
  readonly index?: number;
  readonly all?: boolean;
  readonly dryRun?: boolean;
}

function redriveCommand(): Command {
  return new Command('redrive')
    .description('publish the clicks of dead letters to their shards, each once')
    .option('--shard <number>', 'the shard on which it stands', wholeNumberOption(0, SHARD_MAX))
    .option('--sequence <number>', "its message's sequence there", wholeNumberOption(1, SEQUENCE_MAX))
    .option(
      '--index <number>',
      'its place in the message (default: every one)',
      wholeNumberOption(0, INDEX_MAX),
    )
    .option('--all', 'every dead letter that is not redriven yet')
    .option('--dry-run', 'say what would be done, and do nothing')
    .addHelpText('after', HELP)
    .action(redrive);
}

const HELP = `
A letter that this release still cannot read is left as it is. Stopped half way, run it again: what was published
is recognised, and nothing is counted twice.

Exit codes: 0 everything selected is redriven, 1 not everything, 2 wrong use.

Example:
  ./clickledger dead-letters redrive --shard 3 --sequence 1207 --dry-run`;

async function redrive(options: RedriveOptions): Promise<void> {
  const selection = selectionOf(options);
  const dryRun = options.dryRun === true;
  await withLedger(NAME, async ({ pool }) => {
    const { letters, redriven } = await countDeadLetters(pool, selection);
    if (letters === 0 && options.all !== true) {
      printError(
        `there is no dead letter at ${placeOf(selection)}; one that was just found is stored with the next flush`,
      );
      process.exitCode = EXIT_NOT_ALL;
      return;
    }
    const report = new RedriveReport(letters - redriven, dryRun);
    try {
      await withBroker(NAME, (broker) => {
        const publisher = publisherOf(broker);
        return redriveLetters({
          letters: waitingDeadLetters(pool, selection),
          reader: READER,
          table: broker.routing.table,
          publish: (shard, bytes, messageId) => publisher.publish(shard, bytes, messageId),
          mark: (letter, to) => markRedriven(pool, letter, to),
          report,
          dryRun,
        });
      });
    } finally {
      print(report.end(redriven));
    }
    if (!report.isComplete) process.exitCode = EXIT_NOT_ALL;
  });
}

function publisherOf({ connection, client, manager }: Broker): ClickPublisher {
  const { publishTimeoutMs } = readSettings(installation(), ['publishTimeoutMs']);
  return new ClickPublisher(client, manager, new Connectivity(connection), publishTimeoutMs);
}

/** @throws CliError where it is not clear which letters are meant */
function selectionOf({ shard, sequence, index, all }: RedriveOptions): DeadLetterSelection {
  const place = { '--shard': shard, '--sequence': sequence, '--index': index };
  const given = Object.entries(place).flatMap(([option, value]) => (value === undefined ? [] : [option]));
  if (all === true) {
    if (given.length === 0) return {};
    throw new CliError(`--all with ${given.join(' and ')}: right is one or the other`);
  }
  if (shard === undefined || sequence === undefined) {
    const found = given.length === 0 ? 'no letter is named' : `${given.join(' with ')} names no letter`;
    throw new CliError(
      `${found}; right is --shard N --sequence N, with --index N for one of several, or --all`,
    );
  }
  return { shard, sequence, index };
}

function placeOf({ shard, sequence, index }: DeadLetterSelection): string {
  const place = `shard ${shard}, sequence ${sequence}`;
  return index === undefined ? place : `${place}, index ${index}`;
}
