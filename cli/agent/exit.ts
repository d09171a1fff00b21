import { constants } from "node:os";
import { EXIT } from "../command.ts";

/** How a process ended: by a code or by a signal. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** The code by which a shell tells of a signal. */
export function signalExitCode(signal: NodeJS.Signals): number {
  return EXIT.signalBase + constants.signals[signal];
}

/** The exit code that says the same as the child's own end. */
export function exitCodeOf({ code, signal }: Ended): number {
  return signal === null ? (code ?? EXIT.agentFailed) : signalExitCode(signal);
}

/** The exit code for a command that can't be started, as shells have it. */
export function startFailureCode(error: NodeJS.ErrnoException): number {
  if (error.code === "ENOENT") return EXIT.notFound;
  return error.code === "EACCES" || error.code === "ENOEXEC" ? EXIT.notExecutable : EXIT.agentFailed;
}

/**
 * Ends this process by a signal, so that who started it sees the same as if it had started the child itself. Process 1 of
 * a container can't be ended so: it goes on to exit with the signal's code.
 */
export function endBySignal(signal: NodeJS.Signals): void {
  if (process.pid === 1) return;
  process.kill(process.pid, signal);
}
