import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { startWorkerd, type WorkerdOptions } from "../../dev/workerd.ts";

/** Between SIGTERM and SIGKILL. */
const DRAIN_MS = 3_000;

/** The edge on its host: workerd, started and ended; what it keeps, it finds again. */
export class HostedEdge {
  readonly #options: Omit<WorkerdOptions, "output" | "dir">;
  readonly #dir: string;
  #child: ChildProcess | undefined;

  /** @param dir its folder, with its storage; its output goes to a file beside it */
  constructor(dir: string, options: Omit<WorkerdOptions, "output" | "dir">) {
    this.#dir = dir;
    this.#options = options;
  }

  /** The running process's id. */
  get pid(): number {
    return this.#child!.pid!;
  }

  /** Resolves when it listens. */
  async start(): Promise<void> {
    mkdirSync(this.#dir, { recursive: true });
    const output = openSync(`${this.#dir}.log`, "a", 0o600);
    try {
      this.#child = await startWorkerd({ ...this.#options, dir: this.#dir, output });
    } finally {
      closeSync(output);
    }
  }

  /** Resolves when it is gone. After SIGTERM it waits for streams, which nobody ends: it is given a while, as a supervisor gives. */
  async end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill(signal);
    const timer = setTimeout(() => child.kill("SIGKILL"), DRAIN_MS);
    await gone;
    clearTimeout(timer);
  }
}
