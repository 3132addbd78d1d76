/** What `up` can know to be wrong before it starts anything: better said at once than by a process that ends. */
import { readSettings, SETTINGS, type SettingName } from '../../adapters/environment/settings.ts';
import { CliError } from '../cliError.ts';
import { type PortState, portState } from './freePort.ts';
import { claimPort } from './portClaim.ts';

type Environment = Readonly<Record<string, string | undefined>>;

const SHARED_PORTS = ['httpPort', 'ingestPort'] as const;
const PORTS = [
  'httpPort',
  'ingestPort',
  'queryPort',
  'webPort',
  'auditPort',
  'reconcilerMetricsPort',
  'queryMetricsPort',
] as const;

/** @throws SettingsError when a setting is wrong. What has no default and is not given, `up` makes itself. */
export function checkSettings(environment: Environment): void {
  const names = Object.keys(SETTINGS) as SettingName[];
  readSettings(
    environment,
    names.filter((name) => SETTINGS[name].fallback !== undefined || environment[SETTINGS[name].variable]),
  );
}

/** @throws CliError when the services could not listen: a port is taken, forbidden or given twice, the host not this machine's. */
export async function checkPorts(environment: Environment): Promise<void> {
  const { host, ...ports } = readSettings(environment, ['host', ...PORTS]);
  const variables = new Map<number, string>();
  for (const name of PORTS) {
    const { variable } = SETTINGS[name];
    const port = ports[name];
    const other = variables.get(port);
    if (other !== undefined)
      throw new CliError(`${other} and ${variable} are both ${port}: each needs a port of its own.`);
    variables.set(port, variable);
    const trouble = portTrouble(await portState(port, host), { variable, port, host });
    if (trouble !== undefined) throw new CliError(trouble);
  }
}

function portTrouble(
  state: PortState,
  { variable, port, host }: { readonly variable: string; readonly port: number; readonly host: string },
): string | undefined {
  switch (state) {
    case 'free':
      return undefined;
    case 'taken':
      return `Port ${port} of ${host} is taken. Set ${variable} to a free one.`;
    case 'forbidden':
      return `This user may not listen on port ${port} of ${host}: ports below 1024 are usually for root alone. Set ${variable} to a higher one.`;
    case 'no-such-address':
      return `${SETTINGS.host.variable}=${host} is no address of this machine. Set it to one that is, such as ${SETTINGS.host.fallback}, or 0.0.0.0 for all of them.`;
  }
}

/**
 * Claims the ports that the gateways of one `up` share.
 * @throws CliError when those of another one share them
 */
export async function claimSharedPorts(environment: Environment): Promise<void> {
  const ports = readSettings(environment, SHARED_PORTS);
  for (const name of SHARED_PORTS) {
    if (await claimPort(ports[name])) continue;
    throw new CliError(
      `Port ${ports[name]} is that of the gateways of another \`up\` on this machine. Set ${SETTINGS[name].variable} to another one.`,
    );
  }
}

/** The settings that were given, which other commands of this instance need as well. */
export function givenSettings(environment: Environment): Record<string, string> {
  const given: Record<string, string> = {};
  for (const { variable } of Object.values(SETTINGS)) {
    const value = environment[variable];
    if (value) given[variable] = value;
  }
  return given;
}
