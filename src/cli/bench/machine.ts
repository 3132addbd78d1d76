/** The machine that figures are of, and what ran on it: without it a figure says nothing to anybody else. */
import os from 'node:os';
import { PROJECT_DIRECTORY, type ToolName, toolPath } from '../stack/tools.ts';

const GIB = 2 ** 30;

/** What is known of it, by what it is. */
export function describeMachine(): Record<string, string> {
  const cores = os.cpus();
  return {
    cores: `${cores.length}, ${cores[0]?.model.trim() || 'unknown'}`,
    memory: `${Math.round(os.totalmem() / GIB)} GiB`,
    kernel: `${os.type()} ${os.release()}`,
    Bun: Bun.version,
    'nats-server': versionOf('nats-server', '--version'),
    redis: versionOf('redis-server', '--version'),
    PostgreSQL: versionOf('postgres', '--version'),
    // It knows no option for it, but says it above its usage.
    wrk: versionOf('wrk', '--version'),
    commit: commit(),
  };
}

function versionOf(tool: ToolName, option: string): string {
  const said = output([toolPath(tool), option]);
  return /\d+(\.\d+)+/.exec(said)?.[0] ?? 'unknown';
}

/** Of the project; `unknown` where it is no checkout. */
function commit(): string {
  const git = (...words: string[]) => output(['git', '-C', PROJECT_DIRECTORY, ...words]).trim();
  const head = git('rev-parse', '--short=12', 'HEAD');
  if (!/^[0-9a-f]+$/.test(head)) return 'unknown';
  return git('status', '--porcelain') === '' ? head : `${head}, with changes`;
}

/** What a command says; nothing where it is not there. */
function output(command: string[]): string {
  if (Bun.which(command[0] ?? '') === null) return '';
  const { stdout, stderr } = Bun.spawnSync(command, { stdin: 'ignore', stderr: 'pipe' });
  return `${stdout}${stderr}`;
}
