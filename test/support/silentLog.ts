/** A log that only keeps what was said, for tests that ask whether something was. */
export class SilentLog {
  readonly lines: { level: 'info' | 'warn' | 'error'; facts: object; message: string }[] = [];

  info(facts: object, message: string): void {
    this.lines.push({ level: 'info', facts, message });
  }

  warn(facts: object, message: string): void {
    this.lines.push({ level: 'warn', facts, message });
  }

  error(facts: object, message: string): void {
    this.lines.push({ level: 'error', facts, message });
  }
}
