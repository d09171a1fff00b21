import { execFile, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chownSync, closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { promisify } from "node:util";
import { WIRE } from "./hosts.ts";
import { END_DEADLINE_MS, START_DEADLINE_MS } from "./limits.ts";
import { until } from "./until.ts";

/** A user of the system's whom a server runs as. */
export interface SystemUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** Looks a user up that a package has made. */
export async function systemUser(name: string): Promise<SystemUser> {
  const id = async (flag: string) => Number((await promisify(execFile)("id", [flag, name])).stdout);
  return { name, uid: await id("-u"), gid: await id("-g") };
}

/** The command that runs another one as this user; the process is that other one's own. */
export function as(user: SystemUser): string[] {
  return ["setpriv", `--reuid=${user.uid}`, `--regid=${user.gid}`, "--clear-groups"];
}

/** Makes a folder that the user owns and others can't look into. */
export function folderOf(path: string, { uid, gid }: SystemUser): string {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  chownSync(path, uid, gid);
  return path;
}

/** A server on the database host. */
export interface ServerProcess {
  readonly pid: number;
  /** The file that its output goes to. */
  readonly log: string;
  readonly stop: () => Promise<void>;
}

/**
 * Starts a server on the database host; resolves when it is ready.
 *
 * @param ready looks whether it serves: rejects or is false until then
 * @param endBy what ends it although clients are connected
 * @throws Error where it ends or doesn't serve in time, with its last words
 */
export async function startServer(
  command: readonly string[],
  log: string,
  ready: () => Promise<boolean>,
  endBy: NodeJS.Signals = "SIGTERM",
): Promise<ServerProcess> {
  const output = openSync(log, "a", 0o600);
  const [file, ...args] = command as [string, ...string[]];
  const child = WIRE.spawn("db", file, args, { stdio: ["ignore", output, output] });
  closeSync(output);
  const stop = () => end(child, endBy);
  try {
    const gone = once(child, "exit").then(() => {
      throw new Error(`${file} ended`);
    });
    gone.catch(() => {});
    await Promise.race([gone, until(`${file} serves`, START_DEADLINE_MS, ready)]);
  } catch (cause) {
    await stop();
    throw new Error(`${command.join(" ")}: ${readFileSync(log, "utf8").slice(-1_000)}`, { cause });
  }
  return { pid: child.pid!, log, stop };
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill(signal);
  const timer = setTimeout(() => child.kill("SIGKILL"), END_DEADLINE_MS);
  await gone;
  clearTimeout(timer);
}
