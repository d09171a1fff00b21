import { once } from "node:events";
import net from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { AgentError } from "./agent-error.ts";
import { LOCK_POLL_MS, LOCK_WAIT_MS } from "./limits.ts";

/**
 * Does some work while no other process of this machine does any under the same name.
 *
 * The lock is a socket in Linux's abstract namespace (unix(7)): the kernel gives a name to one process at a time and takes it
 * back when that process ends, however it ends. So there is no stale lock, and no file that another user could put in the way.
 *
 * @throws AgentError where others hold it for too long
 */
export async function withLock<T>(name: string, work: () => T): Promise<T> {
  const until = performance.now() + LOCK_WAIT_MS;
  for (;;) {
    const holder = net.createServer((socket) => socket.destroy());
    try {
      holder.listen({ path: `\0${name}` });
      await once(holder, "listening");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
      if (performance.now() > until) {
        throw new AgentError(`another process holds the lock ${name} for more than ${LOCK_WAIT_MS} ms`, {
          cause: error,
        });
      }
      await pause(LOCK_POLL_MS);
      continue;
    }
    try {
      return work();
    } finally {
      await new Promise((resolve) => holder.close(resolve));
    }
  }
}
