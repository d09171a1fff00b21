import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { isSea } from "node:sea";
import { AgentError } from "./agent-error.ts";
import { packageRoot } from "../package-root.ts";

/** A process that outlives this one by as much as it takes to clean up. */
export interface Watchdog {
  /** Nothing is left to be cleaned up. */
  readonly dismiss: () => Promise<void>;
}

/**
 * The shell costs some hundred kilobytes while it waits, and becomes the cleaner only when the pipe was closed without a word, which
 * the kernel does for a process that was killed. Signals for the agent's group are none of its business.
 */
const SCRIPT = `trap '' HUP INT TERM; read -r word || exec "$0" "$@"`;

/**
 * Starts a process that runs `holdfast <args>` if this process ends without having dismissed it, be it by kill -9. It has a session
 * and an environment of its own: no terminal's signal reaches it, and it holds no secret.
 *
 * @param args public: they stand in the list of processes
 */
export function startWatchdog(args: readonly string[]): Watchdog {
  const command = isSea() ? [process.execPath, ...args] : [process.execPath, entry(), ...args];
  // Without a shell the cleaner itself waits: it, too, reads a word first.
  const [file, ...rest] = existsSync("/bin/sh") ? ["/bin/sh", "-c", SCRIPT, ...command] : command;
  const child = spawn(file!, rest, {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
    env: {},
    cwd: "/",
  });
  const ended = once(child, "exit").catch(() => {});
  child.stdin.on("error", () => {});
  child.unref();
  // Else the pipe would keep this process alive.
  (child.stdin as unknown as { unref: () => void }).unref();
  return {
    dismiss: async () => {
      child.stdin.end("done\n");
      child.ref();
      await ended;
    },
  };
}

function entry(): string {
  const root = packageRoot();
  if (root === undefined) throw new AgentError("the package that this command belongs to can't be found");
  return join(root, "cli/holdfast.mjs");
}

/** What the cleaner waits for: true where it was dismissed. */
export async function isDismissed(): Promise<boolean> {
  let word = "";
  for await (const chunk of process.stdin) word += String(chunk);
  return word.startsWith("done");
}
