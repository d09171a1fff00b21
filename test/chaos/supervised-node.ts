import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { NODE_ENV, NODE_FLAGS } from "../../dev/stack.ts";
import type { NodePlace } from "./hosts.ts";
import { RESTART_AFTER_MS, START_DEADLINE_MS } from "./limits.ts";
import type { Network } from "./network.ts";

const MAIN = resolve(import.meta.dirname, "../../relay-node/main.ts");

/** A relay node on its host, started again whenever it ends, as systemd's Restart=always does. */
export class SupervisedNode {
  readonly place: NodePlace;
  readonly #network: Network;
  readonly #config: string;
  readonly #logFile: string;
  #child: ChildProcess | undefined;
  #serving = Promise.withResolvers<void>();
  #restartAfterMs: number | undefined = RESTART_AFTER_MS;
  #timer: NodeJS.Timeout | undefined;

  constructor(network: Network, place: NodePlace, files: { readonly config: string; readonly log: string }) {
    this.#network = network;
    this.place = place;
    this.#config = files.config;
    this.#logFile = files.log;
  }

  start(): void {
    const log = openSync(this.#logFile, "a", 0o600);
    const child = this.#network.spawn(
      this.place.host,
      process.execPath,
      [...NODE_FLAGS, MAIN, "--config", this.#config],
      { env: { ...process.env, ...NODE_ENV }, stdio: ["ignore", log, log, "ipc"] },
    );
    closeSync(log);
    this.#child = child;
    child.once("message", () => this.#serving.resolve());
    child.once("exit", () => {
      if (this.#restartAfterMs === undefined) return;
      this.#timer = setTimeout(() => this.start(), this.#restartAfterMs);
    });
  }

  /** Sends a signal that doesn't end the process. */
  signal(signal: "SIGSTOP" | "SIGCONT"): void {
    this.#child!.kill(signal);
  }

  /** Ends the process; it is started again after this time, or, with `undefined`, when `start` is called. */
  end(signal: "SIGKILL" | "SIGTERM", restartAfterMs: number | undefined = RESTART_AFTER_MS): void {
    this.#restartAfterMs = restartAfterMs;
    this.#serving = Promise.withResolvers();
    this.#child!.kill(signal);
  }

  /** Ends the process for good; resolves when it is gone. */
  async remove(signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    clearTimeout(this.#timer);
    this.#restartAfterMs = undefined;
    this.#serving = Promise.withResolvers();
    const child = this.#child!;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill(signal);
    await gone;
  }

  /**
   * Resolves when the process serves.
   * @throws Error where it doesn't in time, with its last word
   */
  async serving(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, failed) => {
      timer = setTimeout(
        () => failed(new Error(`${this.place.id} does not serve: ${this.#lastLine()}`)),
        START_DEADLINE_MS,
      );
    });
    await Promise.race([this.#serving.promise, late]).finally(() => clearTimeout(timer));
  }

  #lastLine(): string {
    return readFileSync(this.#logFile, "utf8").trim().split("\n").at(-1) ?? "";
  }
}
