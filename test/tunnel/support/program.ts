import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { type ClientOptions, onClient } from "./client.ts";
import { HOLDFAST, type TunnelStack } from "./stack.ts";
import { until } from "./until.ts";

/** A program that runs under `holdfast run` while the test does something else. */
export class Program {
  readonly child: ChildProcess;
  #stdout = "";
  #stderr = "";
  #code: number | null | undefined;

  /**
   * Starts it on the client's host.
   * @param flags of `holdfast run`, before the `--`
   */
  constructor(
    stack: TunnelStack,
    flags: readonly string[],
    command: readonly string[],
    options: ClientOptions = {},
  ) {
    const [file, ...args] = [
      ...onClient(stack, options),
      ...HOLDFAST,
      "run",
      ...flags,
      "--",
      ...command,
    ] as unknown as [string, ...string[]];
    this.child = spawn(file, args, {
      env: { ...process.env, ...stack.env, ...options.env },
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.child.stdout!.on("data", (chunk: Buffer) => (this.#stdout += chunk.toString("latin1")));
    this.child.stderr!.on("data", (chunk: Buffer) => (this.#stderr += chunk.toString()));
    // A program that is gone reads no more.
    this.child.stdin!.on("error", () => {});
    this.child.once("close", (code) => (this.#code = code));
  }

  /** The process of `holdfast run` itself. */
  get pid(): number {
    return this.child.pid!;
  }

  get stdout(): string {
    return this.#stdout;
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** Writes to its stdin; resolves when there is room for more. */
  async write(text: string): Promise<void> {
    const { stdin } = this.child;
    if (!stdin!.write(text)) await Promise.race([once(stdin!, "drain"), once(this.child, "close")]);
  }

  /** Ends its stdin. */
  end(): void {
    this.child.stdin!.end();
  }

  /** Resolves when its output is as wanted. */
  says(pattern: RegExp, deadlineMs: number): Promise<RegExpExecArray> {
    return until(`the program says ${pattern}`, deadlineMs, () => {
      const match = pattern.exec(this.#stdout);
      if (match !== null || this.#code === undefined) return match ?? undefined;
      return new Error(`it ended with ${this.#code} and has not said ${pattern}: ${this.#stderr}`);
    });
  }

  /** Its exit code, once it has ended. */
  ended(deadlineMs: number): Promise<{ readonly code: number | null }> {
    return until("the program has ended", deadlineMs, () =>
      this.#code === undefined ? undefined : { code: this.#code },
    );
  }

  /** Kills it, if it still runs. */
  async stop(): Promise<void> {
    if (this.#code !== undefined) return;
    const gone = once(this.child, "close");
    this.child.kill("SIGKILL");
    await gone;
  }
}
