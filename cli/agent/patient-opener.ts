import { setTimeout as pause } from "node:timers/promises";
import { isRelayError } from "../../client/index.ts";
import { mayPass, retryDelay } from "../../client/stream-retry.ts";
import { OPEN_PATIENCE_MS } from "./limits.ts";
import type { Connecting, Opener } from "../../client/node/opener.ts";

/**
 * Tries again what fails by a fault that may pass, such as an edge that is being deployed: programs take a refused
 * connection for the target's word. Nothing was sent by a connection that did not open; where bytes went ahead of it, and nobody knows
 * how far, they are not sent again.
 */
export function patientOpener(
  open: Opener,
  { patienceMs = OPEN_PATIENCE_MS, random = Math.random } = {},
): Opener {
  return async (target) => {
    const until = performance.now() + patienceMs;
    for (let failures = 1; ; failures++) {
      let ahead: Connecting | undefined;
      const early = (connecting: Connecting) => {
        ahead = connecting;
        target.early?.(connecting);
      };
      try {
        return await open({ ...target, early });
      } catch (error) {
        const delay = retryDelay(failures, random());
        const isLate = performance.now() + delay > until;
        if (!isRelayError(error) || !mayPass(error) || isLate || target.signal?.aborted === true) throw error;
        if (error.reached !== "no" && (ahead?.bytesWritten ?? 0) > 0) throw error;
        // Given up meanwhile, it fails by the reason that it would have failed by anyway.
        await pause(delay, undefined, { signal: target.signal }).catch(() => {
          throw error;
        });
      }
    }
  };
}
