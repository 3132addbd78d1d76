/**
 * Where the project and the servers' binaries are. `./clickledger` sets the servers up and links them in
 * `.data/tools/`; this file only looks there, so that which one is used is decided in one place.
 */
import { existsSync, realpathSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { CliError } from '../cliError.ts';

/** The folder with package.json. */
export const PROJECT_DIRECTORY = resolve(import.meta.dirname, '../../..');

const TOOLS_DIRECTORY = join(PROJECT_DIRECTORY, '.data', 'tools');
const BUN = join(PROJECT_DIRECTORY, 'node_modules', '.bin', 'bun');

/** A command that runs a TypeScript file on this project's Bun; a relative path counts from the project's folder. */
export function bunCommand(file: string): string[] {
  return [BUN, '--no-env-file', resolve(PROJECT_DIRECTORY, file)];
}

export type ToolName = 'nats-server' | 'redis-server' | 'postgres' | 'initdb' | 'wrk';

/**
 * The path of a binary: a server's, or that of the bench's client.
 * @throws CliError when it was not set up.
 */
export function toolPath(name: ToolName): string {
  const path = name === 'postgres' || name === 'initdb' ? postgresPath(name) : join(TOOLS_DIRECTORY, name);
  if (existsSync(path)) return path;
  throw new CliError(`${name} is not set up. Run ./clickledger, which sets it up.`);
}

/** Without the link: the user who runs PostgreSQL may not be able to pass the project's folder. */
function postgresPath(name: ToolName): string {
  const folder = join(TOOLS_DIRECTORY, 'postgresql');
  return join(existsSync(folder) ? realpathSync(folder) : folder, name);
}
