import { isRelayError, RelayError } from "../protocol/errors.ts";
import { senderOf } from "../protocol/senders.ts";
import { isOver } from "./ceilings.ts";
import { clientAddress } from "./client-address.ts";
import type { Edge, Env } from "./edge.ts";
import { isCharged } from "./failed-tokens.ts";

/**
 * Proves a token at its sender's cost: one that fails is charged to the address that it came from. Once too many have
 * failed, what is not known to this isolate is refused before anything is looked up or verified, and what fails learns no
 * more than that; whoever is known goes on, so that a stranger behind the same address can't shut them out.
 *
 * @param prove must call its argument before the first thing that costs, and say whether the token's issuer is known here
 * @throws RelayError `rate_limited`, and whatever `prove` throws
 */
export async function atSendersCost<T>(
  request: Request,
  edge: Edge,
  env: Env,
  prove: (admit: (isKnown: boolean) => void) => Promise<T>,
): Promise<T> {
  const { failedTokens } = edge;
  /** Where nothing tells who sends, all would be one sender. */
  const senderOfIt = () => {
    const address = clientAddress(request, edge.config);
    return address === undefined ? undefined : senderOf(address);
  };
  const now = Date.now();
  const known = failedTokens.isCalm(now) ? undefined : senderOfIt();
  const waitMs = known === undefined ? 0 : failedTokens.waitMs(known, now);
  try {
    return await prove((isKnown) => {
      if (waitMs > 0 && !isKnown) throw tooManyFailed(waitMs);
    });
  } catch (error) {
    if (!isRelayError(error) || !isCharged(error.code)) throw error;
    if (waitMs > 0) throw tooManyFailed(waitMs);
    const sender = known ?? senderOfIt();
    if (sender === undefined) throw error;
    failedTokens.charge(sender, Date.now());
    if (await isOver(env.STRANGER_CEILING, sender)) failedTokens.shut(sender, Date.now());
    throw error;
  }
}

function tooManyFailed(waitMs: number): RelayError {
  return new RelayError("rate_limited", "too many tokens from this address failed", {
    retryAfter: Math.ceil(waitMs / 1_000),
  });
}
