import { setTimeout as pause } from "node:timers/promises";
import type { RelayError } from "../../client/index.ts";
import { retryDelay } from "../../client/stream-retry.ts";
import { REFUSAL_CONFIRM_MS, RELAY_RETRY_MS } from "./limits.ts";
import type { Opener } from "../../client/node/opener.ts";
import { checkRelay, isRefusal, type RelayVerdict } from "./relay-check.ts";

/**
 * Watches for the relay's refusal of the client itself, as when its key was revoked. One is told only after a second
 * question had the same answer: a registry that is read in the middle of a key's change says no once.
 *
 * @param refused called once
 */
export function watchRefusals(
  open: Opener,
  refused: (error: RelayError) => void,
  { confirmMs = REFUSAL_CONFIRM_MS } = {},
): Opener {
  let isAsking = false;
  const confirm = async () => {
    await pause(confirmMs);
    const verdict = await checkRelay(open);
    if (verdict.kind === "refused") refused(verdict.error);
    else isAsking = false;
  };
  return async (target) => {
    try {
      return await open(target);
    } catch (error) {
      if (isRefusal(error) && !isAsking) {
        isAsking = true;
        void confirm();
      }
      throw error;
    }
  };
}

/** Asks until the relay has said yes or no. @throws the signal's reason */
export async function awaitRelay(open: Opener, signal: AbortSignal): Promise<RelayVerdict> {
  for (let failures = 1; ; failures++) {
    await pause(RELAY_RETRY_MS + retryDelay(failures, Math.random()), undefined, { signal, ref: false });
    const verdict = await checkRelay(open, signal);
    if (verdict.kind !== "unreachable") return verdict;
  }
}
