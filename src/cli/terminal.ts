/**
 * Everything the command line says to a person goes through here, so that one thing holds everywhere: a line
 * never tears a live area (the table of `up --demo`). Lines are printed above the area, which is then drawn again.
 *
 * Colours and the live area exist on a terminal only; a pipe or a file gets plain lines.
 */

/** Whether a person looks at the output, rather than a pipe or a file. */
export function isTty(): boolean {
  return process.stdout.isTTY === true;
}

const STYLES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;
const usesColour = isTty() && !process.env['NO_COLOR'];

/** `text` in a style, or as it is where the output is no terminal. */
export function styled(style: keyof typeof STYLES, text: string): string {
  return usesColour ? `\u001b[${STYLES[style]}m${text}\u001b[0m` : text;
}

/** The lines that stand below everything else at the moment. */
let liveLines: readonly string[] = [];

// The carriage return is for what the terminal itself echoed, such as ^C.
const eraseLive = () => (liveLines.length === 0 ? '' : `\r\u001b[${liveLines.length}A\u001b[0J`);
const drawLive = () => liveLines.map((line) => `${line}\n`).join('');

/** One line (or several, with newlines between them) on stdout, above the live area. */
export function print(text = ''): void {
  process.stdout.write(`${eraseLive()}${text}\n${drawLive()}`);
}

/** As `print`, on stderr: what went wrong. */
export function printError(text: string): void {
  if (liveLines.length > 0) process.stdout.write(eraseLive());
  process.stderr.write(`${text}\n`);
  if (liveLines.length > 0) process.stdout.write(drawLive());
}

/**
 * Replaces the live area by `text`; an empty text removes it. Lines wider than the terminal are cut, because a
 * wrapped line would take two rows and the area could not be erased. Off a terminal nothing is drawn.
 */
export function showLive(text: string): void {
  if (!isTty()) return;
  const erased = eraseLive();
  liveLines = text === '' ? [] : text.split('\n').map((line) => cut(line, process.stdout.columns || 80));
  process.stdout.write(`${erased}${drawLive()}`);
}

/** The first `columns` visible characters of `line`; escape sequences take no column. */
function cut(line: string, columns: number): string {
  return Bun.stringWidth(line) <= columns ? line : `${Bun.stripANSI(line).slice(0, columns - 1)}…`;
}
