import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { cpuMs } from "./machine.ts";

/** The core of what is measured, and that of the driver and the target: neither takes from the other. */
export const CORES = { measured: 0, driver: 1 } as const;

/** What a process is started with. */
export interface StartOptions {
  /** The cores that it may use. */
  readonly core: number | readonly number[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** It serves when this takes connections, or has said `ready`. */
  readonly ready: { readonly host: string; readonly port: number } | "says so";
}

const READY_MS = 20_000;

/** A process that the bench started, with the children that it has. It is ended with the bench whatever becomes of that. */
export class Process {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** @throws Error where it ends, or doesn't serve in time, with what it said last */
  static async start(command: string, args: readonly string[], options: StartOptions): Promise<Process> {
    const { core, env, cwd, ready } = options;
    const child = spawn("taskset", ["-c", [core].flat().join(","), command, ...args], {
      env: { ...process.env, ...env },
      cwd,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let said = "";
    let isReady = false;
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk: Buffer) => {
        said = (said + chunk.toString()).slice(-2_000);
        isReady ||= ready === "says so" && said.includes("ready");
      });
    }
    const killed = () => child.kill("SIGKILL");
    process.once("exit", killed);
    child.once("exit", () => process.off("exit", killed));
    const until = Date.now() + READY_MS;
    while (!isReady) {
      if (child.exitCode !== null || child.signalCode !== null || Date.now() > until) {
        child.kill("SIGKILL");
        throw new Error(`${command} does not serve: ${said.trim().split("\n").at(-1)}`);
      }
      if (ready !== "says so") isReady = await takesConnections(ready.host, ready.port);
      if (!isReady) await sleep(20);
    }
    return new Process(child);
  }

  /** One that somebody else has started, who also ends it. */
  static of(child: ChildProcess): Process {
    return new Process(child);
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** What it and its children have computed, in milliseconds. */
  get cpuMs(): number {
    return treeOf(this.pid).reduce((sum, pid) => sum + cpuMs(pid), 0);
  }

  /** Stops it in its place: what isn't measured takes nothing. */
  freeze(): void {
    for (const pid of treeOf(this.pid)) process.kill(pid, "SIGSTOP");
  }

  thaw(): void {
    for (const pid of treeOf(this.pid)) process.kill(pid, "SIGCONT");
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, "exit");
    for (const pid of treeOf(this.pid).toReversed()) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It went by itself.
      }
    }
    await gone;
  }
}

/** A process and all below it, but those that have gone meanwhile. */
export function treeOf(pid: number): number[] {
  try {
    const below = readdirSync(`/proc/${pid}/task`).flatMap((task) =>
      readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").split(" ").filter(Boolean).map(Number),
    );
    return [pid, ...below.flatMap((child) => treeOf(child))];
  } catch {
    return [];
  }
}

/** Pins a process that somebody else started, with all its threads. */
export function pin(pid: number, core: number | readonly number[]): void {
  execFileSync("taskset", ["-a", "-c", "-p", [core].flat().join(","), String(pid)], { stdio: "ignore" });
}

function takesConnections(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
