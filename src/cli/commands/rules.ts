/** `clickledger rules`: which rule sets there are, which of them judge clicks, and from when on. */
import { Command } from 'commander';
import type { RoutingLog } from '../../adapters/nats/routingLog.ts';
import { KNOWN_RULE_SETS, RULE_SETS } from '../../domain/ruleSet.ts';
import { CliError } from '../cliError.ts';
import { endWithClosedPipe } from '../closedPipe.ts';
import { formatSecond } from '../format.ts';
import { type PlainColumn, renderPlainTable } from '../plainTable.ts';
import { withBroker } from '../servers.ts';
import { print } from '../terminal.ts';

const NAME = 'rules';
const COLUMNS: readonly PlainColumn[] = [
  { head: 'rule set', align: 'right' },
  { head: 'lists of programs', align: 'left' },
  { head: 'in force for clicks made from (UTC)', align: 'left' },
];

export function rulesCommand(): Command {
  return new Command(NAME)
    .description('the rule sets by which clicks are judged')
    .addCommand(
      new Command('list').description('show the rule sets, and from when on each is in force').action(list),
    )
    .addCommand(
      new Command('adopt')
        .argument('<version>', 'a rule set that this release knows')
        .description(
          'judge clicks from now on by another rule set; reconcile --rules judges earlier ones again',
        )
        .action(adopt),
    );
}

async function list(): Promise<void> {
  endWithClosedPipe();
  await withBroker(NAME, async ({ routing }) => {
    const rows = KNOWN_RULE_SETS.map((version) => [
      `${version}`,
      namesOf(version),
      inForce(version, routing),
    ]);
    print(renderPlainTable(COLUMNS, rows));
  });
}

function namesOf(version: number): string {
  return (RULE_SETS[version] ?? [])
    .map(({ package: name, version: release, kinds }) =>
      kinds === undefined ? `${name} ${release}` : `${name} ${release} (${kinds.join(', ')})`,
    )
    .join(' + ');
}

function inForce(version: number, { table }: RoutingLog): string {
  const from = table.adoptedRules
    .filter((step) => step.version === version)
    .map((step) => formatSecond(step.fromMs));
  return (table.rules.version === version ? ['the first', ...from] : from).join(', ') || '–';
}

async function adopt(text: string): Promise<void> {
  const version = KNOWN_RULE_SETS.find((known) => `${known}` === text);
  if (version === undefined)
    throw new CliError(
      `rule set ${JSON.stringify(text)} is not known: right is one of ${KNOWN_RULE_SETS.join(', ')}`,
    );
  await withBroker(NAME, async ({ routing }) => {
    const newest = () => routing.table.adoptedRules.at(-1)?.version ?? routing.table.rules.version;
    if (newest() === version) return print(`rule set ${version} is the newest that was adopted already`);
    // Clicks from there on are published only by those who have read the entry (I3).
    while (!(await routing.append({ kind: 'rules', version, fromMs: routing.table.closedUntilMs }))) {
      if (newest() === version) break;
    }
    print(
      `clicks made from ${formatSecond(routing.table.adoptedRules.at(-1)?.fromMs ?? 0)} UTC on are judged by rule set ${version}`,
    );
  });
}
