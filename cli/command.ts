/** One command of the CLI. */
export interface Command {
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
  /** The relay can't be reached where it has to be: sysexits' EX_UNAVAILABLE. */
  unavailable: 69,
  /** The relay refuses the token: sysexits' EX_NOPERM. */
  refused: 77,
  // What `run` says of itself, as other commands that run commands do (env, timeout); all else is the command's own.
  agentFailed: 125,
  notExecutable: 126,
  notFound: 127,
  /** And the signal's number, for a command that a signal ended. */
  signalBase: 128,
} as const;

/** The command line can't be understood: shown with the ways to call the command. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}
