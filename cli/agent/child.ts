import { spawn } from "node:child_process";
import { CHILD_STOP_MS } from "./limits.ts";
import type { Ended } from "./exit.ts";

/** A program that runs in this one's place: with its terminal, its input and output, and in its group. */
export interface Child {
  readonly ended: Promise<Ended>;
  readonly send: (signal: NodeJS.Signals) => void;
  /** Asks it to end, and kills it where it doesn't in time. */
  readonly stop: () => void;
}

/** @throws Error the system's, where it can't be started */
export function startChild(
  [command, ...args]: readonly [string, ...string[]],
  env: Readonly<Record<string, string>>,
): Promise<Child> {
  const child = spawn(command, args, { stdio: "inherit", env });
  const ended = new Promise<Ended>((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal }));
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("spawn", () => {
      child.off("error", reject);
      // A signal for one that has just ended.
      child.on("error", () => {});
      resolve({
        ended,
        send: (signal) => child.kill(signal),
        stop: () => {
          child.kill("SIGTERM");
          setTimeout(() => child.kill("SIGKILL"), CHILD_STOP_MS).unref();
        },
      });
    });
  });
}
