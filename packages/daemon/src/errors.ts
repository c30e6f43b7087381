/** A mistake at the command line: one line for the person, and exit code 2. */
export class UsageError extends Error {
  readonly kind = 'usage';

  constructor(message: string) {
    super(message);
    this.name = 'UsageError';
  }
}

/** 2 for usage, 1 for anything else. Errors of other packages say `kind: 'usage'` too, and are not imported for it. */
export function exitCode(error: unknown): 1 | 2 {
  return (error as { kind?: unknown } | null)?.kind === 'usage' ? 2 : 1;
}

/** One line, without newlines that a message of somebody else may have. */
export function oneLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.trim().replaceAll(/\s*\n\s*/g, '; ');
}
