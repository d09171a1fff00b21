import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { NODE_ENV, NODE_FLAGS } from "../../dev/stack.ts";
import type { Wire } from "./wire.ts";

/** One relay node and the host that it runs on. */
export interface NodePlace<Host extends string = string> {
  readonly id: string;
  readonly host: Host;
  /** The address that its sockets bind. */
  readonly bind: string;
  /** The address that the world sees. */
  readonly public: string;
}

/** As systemd's RestartSec=1. */
const RESTART_AFTER_MS = 1_000;

/** A process that does not serve after this long is a failure of the suite. */
const START_DEADLINE_MS = 20_000;

const MAIN = resolve(import.meta.dirname, "../../relay-node/main.ts");

/** A relay node on its host, started again whenever it ends, as systemd's Restart=always does. */
export class SupervisedNode<Host extends string = string> {
  readonly place: NodePlace<Host>;
  readonly #wire: Wire<Host>;
  readonly #config: string;
  readonly #logFile: string;
  #child: ChildProcess | undefined;
  #serving = Promise.withResolvers<void>();
  #restartAfterMs: number | undefined = RESTART_AFTER_MS;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    wire: Wire<Host>,
    place: NodePlace<Host>,
    files: { readonly config: string; readonly log: string },
  ) {
    this.#wire = wire;
    this.place = place;
    this.#config = files.config;
    this.#logFile = files.log;
  }

  start(): void {
    const log = openSync(this.#logFile, "a", 0o600);
    const child = this.#wire.spawn(
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

  /** The running process's id. */
  get pid(): number {
    return this.#child!.pid!;
  }

  /** Where its lines go. */
  get logFile(): string {
    return this.#logFile;
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
