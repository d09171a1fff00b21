import { type ChildProcess, spawn } from "node:child_process";

/** What a command did. */
export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** How a command is run. */
export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Whether the environment is `env` alone, without this process's own. */
  readonly bare?: boolean;
  readonly cwd?: string;
  /** What it reads from stdin; nothing unless told. */
  readonly input?: string;
}

/** A command under way. */
export interface Running {
  readonly child: ChildProcess;
  /** What it has written so far. */
  readonly text: { readonly stdout: string; readonly stderr: string };
  /** Its end; rejects where it can't be started. */
  readonly ended: Promise<Ran>;
}

/** Starts a command. */
export function begin(
  file: string,
  args: readonly string[],
  { env, bare = false, cwd, input }: RunOptions = {},
): Running {
  const child = spawn(file, args, { cwd, env: bare ? env : { ...process.env, ...env } });
  const text = { stdout: "", stderr: "" };
  child.stdout.on("data", (chunk: Buffer) => (text.stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (text.stderr += chunk.toString()));
  child.stdin.end(input);
  const ended = new Promise<Ran>((done, failed) => {
    child.once("error", failed);
    child.once("close", (code) => done({ code, ...text }));
  });
  return { child, text, ended };
}

/** Runs a command to its end. */
export function run(file: string, args: readonly string[], options?: RunOptions): Promise<Ran> {
  return begin(file, args, options).ended;
}
