import { spawn } from "node:child_process";

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
}

/** Runs a command to its end. */
export function run(
  file: string,
  args: readonly string[],
  { env, bare = false, cwd }: RunOptions = {},
): Promise<Ran> {
  const child = spawn(file, args, { cwd, env: bare ? env : { ...process.env, ...env } });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  child.stdin.end();
  return new Promise((done, failed) => {
    child.once("error", failed);
    child.once("close", (code) => done({ code, stdout, stderr }));
  });
}
