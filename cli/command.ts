/** One command of the CLI. */
export interface Command {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** The whole help text, ending in a line break. */
  readonly help: string;
  /** Does the work and returns the exit code; throws a UsageError for arguments that can't be used. */
  readonly run: (args: readonly string[]) => Promise<number>;
}

/** Exit codes, the same for every command. */
export const EXIT = {
  ok: 0,
  /** The relay refused or failed, or something in this machine did. */
  failed: 1,
  usage: 2,
  /** The target's own error under --fail: the code that curl uses. */
  targetError: 22,
} as const;

/** The command line can't be understood: shown with the command's help. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}
