/**
 * How a child is tied to its parent and, for PostgreSQL, which user it runs as.
 *
 * - `--pdeathsig`: the kernel signals the child when the process that started it is gone, by SIGKILL too, so that
 *   no server is left behind. setpriv sets it after the change of user, which would clear it.
 * - PostgreSQL refuses to run as root: it gets the user `postgres`. If that user cannot reach the data folder
 *   (below /root, for example), it keeps one capability: to look into folders that are closed to it.
 *
 * setpriv replaces itself by the command: the pid is the server's own.
 */
import { spawnSync } from 'node:child_process';
import { CliError } from '../cliError.ts';

export interface Privileges {
  readonly user: { readonly uid: number; readonly gid: number } | undefined;
  /** Options of setpriv that make this user. */
  readonly options: readonly string[];
}

const UNCHANGED: Privileges = { user: undefined, options: [] };
const SERVER_USER = 'postgres';
/** In Docker's default set only the second one is there. */
const CAPABILITIES = ['dac_read_search', 'dac_override'] as const;

const runsAsRoot = () => process.getuid?.() === 0;
const hasSetpriv = () => Bun.which('setpriv') !== null;

/** `command`, to be run as `privileges` say, and to be signalled when this process dies. */
export function tiedCommand(
  command: readonly string[],
  parentDeathSignal: 'TERM' | 'INT' | 'KILL',
  privileges: Privileges = UNCHANGED,
): string[] {
  // Elsewhere than on Linux there is no such tie; stopping in order still works.
  if (!hasSetpriv()) return [...command];
  return ['setpriv', ...privileges.options, '--pdeathsig', parentDeathSignal, '--', ...command];
}

/** Under which user a server that refuses root runs, so that it can reach `directory` (which must exist). */
export function unprivileged(directory: string): Privileges {
  if (!runsAsRoot()) return UNCHANGED;
  const user = { uid: idOf('-u'), gid: idOf('-g') };
  const options = [`--reuid=${SERVER_USER}`, `--regid=${SERVER_USER}`, '--init-groups'];
  const variants = [
    options,
    ...CAPABILITIES.map((name) => [...options, `--inh-caps=+${name}`, `--ambient-caps=+${name}`]),
  ];
  // Looking, not `test -x`: that asks by access(2), which leaves capabilities out of account.
  const reaching = variants.find((variant) =>
    succeeds(['setpriv', ...variant, 'ls', '-d', `${directory}/.`]),
  );
  if (reaching !== undefined) return { user, options: reaching };
  throw new CliError(
    `PostgreSQL does not run as root, and the user ${SERVER_USER} cannot reach ${directory}.\n` +
      'Set CLICKLEDGER_DATA_DIR to a folder that every user may enter, or run this as an ordinary user.',
  );
}

function idOf(flag: '-u' | '-g'): number {
  const { status, stdout } = spawnSync('id', [flag, SERVER_USER], { encoding: 'utf8' });
  if (status !== 0)
    throw new CliError(`PostgreSQL does not run as root, and there is no user ${SERVER_USER} to run it.`);
  return Number(stdout.trim());
}

function succeeds([program = '', ...parts]: readonly string[]): boolean {
  return spawnSync(program, parts, { stdio: 'ignore', cwd: '/' }).status === 0;
}
