/** `clickledger click`: what became of a click. */
import { Command } from 'commander';
import { explainCallError } from '../../adapters/grpc/callError.ts';
import { auditClient } from '../../adapters/grpc/clients.ts';
import type { GetClickResponse__Output } from '../../contract/generated/clickledger/v1/GetClickResponse.ts';
import { renderRecord } from '../click/recordLines.ts';
import { CliError } from '../cliError.ts';
import { endpoints } from '../endpoints.ts';
import { dataDirectory, instanceEnvironment } from '../stack/instance.ts';
import { print } from '../terminal.ts';

/** It reads the streams from the click's own time on. */
const DEADLINE_MS = 600_000;

interface ClickOptions {
  readonly ad?: string;
  readonly json?: boolean;
}

export function clickCommand(): Command {
  return new Command('click')
    .description('show what became of a click')
    .argument('<click-id>', 'the UUIDv7 of the click, as `clid` in the address to which a click URL leads')
    .option('--ad <id>', 'its ad: searches only the shards of that one')
    .option('--json', 'print the answer as the audit service gave it')
    .addHelpText(
      'after',
      '\nExit codes: 0 found; 2 not: no such click, wrong use, or the audit service is away.',
    )
    .action(showClick);
}

async function showClick(clickId: string, options: ClickOptions): Promise<void> {
  const answer = await ask(clickId, options.ad ?? '');
  if (options.json === true) print(JSON.stringify(answer, undefined, 2));
  else for (const record of answer.records) print(renderRecord(record));
}

async function ask(clickId: string, adId: string): Promise<GetClickResponse__Output> {
  const address = endpoints(instanceEnvironment(dataDirectory())).queryAddress;
  const client = auditClient(address, DEADLINE_MS);
  try {
    return await client.getClick({ click_id: clickId, ad_id: adId });
  } catch (error) {
    throw new CliError(explainCallError(error, 'the audit service', client.address));
  } finally {
    client.close();
  }
}
