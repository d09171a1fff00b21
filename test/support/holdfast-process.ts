import { type ChildProcess, spawn } from "node:child_process";
import { resolve } from "node:path";
import { eventually } from "./node-log.ts";

export const HOLDFAST = resolve(import.meta.dirname, "../../cli/holdfast.mjs");

/** How a process ended, and all that it said. */
export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A `holdfast` that runs. */
export interface HoldfastProcess {
  readonly child: ChildProcess;
  readonly ended: Promise<ProcessEnd>;
  stdout(): string;
  stderr(): string;
  /** Waits until stdout holds this. */
  says(text: string | RegExp): Promise<void>;
}

/** Variables of the machine's that would speak to the agent or to its children. */
const UNSET =
  /^(holdfast_|qgtunnel_|quotaguard|node_use_env_proxy$|(http|https|all|no)_proxy$|node_options$|vitest)/i;

interface ProcessOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** A command that starts it in turn, such as tini. */
  readonly wrap?: readonly string[];
  readonly cwd?: string;
}

/** Starts the command as a shell does. */
export function startHoldfast(
  args: readonly string[],
  { wrap = [], ...options }: ProcessOptions = {},
): HoldfastProcess {
  return startWords([...wrap, process.execPath, HOLDFAST, ...args], options);
}

/** Starts any command in the same way. */
export function startWords(
  words: readonly string[],
  { env = {}, cwd }: ProcessOptions = {},
): HoldfastProcess {
  const inherited = Object.entries(process.env).filter(([name]) => !UNSET.test(name));
  const [file, ...rest] = words as [string, ...string[]];
  const child = spawn(file, rest, {
    env: { ...Object.fromEntries(inherited), ...env },
    ...(cwd !== undefined && { cwd }),
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  child.stdin.on("error", () => {});
  return {
    child,
    ended: new Promise((done, failed) => {
      child.once("error", failed);
      child.once("close", (code, signal) => done({ code, signal, stdout, stderr }));
    }),
    stdout: () => stdout,
    stderr: () => stderr,
    says: (text) =>
      eventually(
        () => (typeof text === "string" ? stdout.includes(text) : text.test(stdout)),
        `${String(text)} is said; stderr: ${stderr}`,
        30_000,
      ),
  };
}

/** Runs a script of the test's own. */
export const nodeScript = (script: string) => [process.execPath, "--input-type=module", "-e", script];

/** A command that tells the signals that it gets, and exits with 3 a little after the first. */
export const LISTENING = nodeScript(`
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH"]) {
    process.on(signal, () => { console.log("got", signal); setTimeout(() => process.exit(3), 300); });
  }
  setInterval(() => {}, 1000);
  console.log("ready");
`);
