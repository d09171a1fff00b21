import { isInForeground } from "./terminal.ts";
import { endBySignal, signalExitCode } from "./exit.ts";

/** What is passed on to the child. */
const FORWARDED = ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH"] as const;

type Forwarded = (typeof FORWARDED)[number];

/** A terminal sends these to everyone in front of it; the child must not get them twice. */
const FROM_TERMINAL: ReadonlySet<string> = new Set(["SIGINT", "SIGQUIT", "SIGWINCH"]);

/** These end a process that does not say otherwise. */
const ENDING: ReadonlySet<string> = new Set(["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"]);

/** Whether a signal that came here is to be sent to the child: unless its terminal has done so. */
export function isForwarded(signal: string, inForeground: boolean): boolean {
  return !(inForeground && FROM_TERMINAL.has(signal));
}

/** The signals of a process that stands in for another one. */
export interface Signals {
  /** Aborted by a signal that came before there was a child. */
  readonly stopped: AbortSignal;
  /** What `stopped` was aborted by. */
  readonly stoppedBy: () => NodeJS.Signals | undefined;
  /** From now on signals go to the child. */
  readonly forwardTo: (send: (signal: NodeJS.Signals) => void) => void;
  /** The child is gone: one that would end a process ends this one at once. */
  readonly childIsGone: () => void;
  /** Takes the handlers out. */
  readonly release: () => void;
}

/** Takes this process's signals. */
export function takeSignals(): Signals {
  const controller = new AbortController();
  let first: Forwarded | undefined;
  let handle = (signal: Forwarded) => {
    if (!ENDING.has(signal)) return;
    if (first !== undefined) exitBy(signal);
    first = signal;
    controller.abort(new Error(`stopped by ${signal}`));
  };
  const listeners = FORWARDED.map((signal) => {
    const listener = () => handle(signal);
    process.on(signal, listener);
    return () => process.off(signal, listener);
  });
  const release = () => listeners.forEach((off) => off());
  const exitBy = (signal: NodeJS.Signals) => {
    release();
    endBySignal(signal);
    process.exit(signalExitCode(signal));
  };
  return {
    stopped: controller.signal,
    stoppedBy: () => first,
    forwardTo: (send) => {
      handle = (signal) => {
        if (isForwarded(signal, isInForeground())) send(signal);
      };
      // It came while the child was being started.
      if (first !== undefined) handle(first);
    },
    childIsGone: () => {
      handle = (signal) => {
        if (ENDING.has(signal)) exitBy(signal);
      };
    },
    release,
  };
}
