import { WIRE } from "../protocol/headers.ts";
import { type RequestClaims } from "../protocol/claims.ts";
import { REQUEST_TOKEN_SECONDS } from "./limits.ts";
import type { Fetch, Signer } from "./wire.ts";

/** Whether somebody still waits for an exchange. */
export interface Interest {
  /** The exchange has ended by itself. */
  readonly over: () => void;
  /** Nobody wants what is still to come: the relay is told, once. */
  readonly giveUp: () => void;
}

/**
 * A connection that is closed says nothing until somebody writes to it, and while a target is silent nobody does: its
 * work would go on for a caller who has left. So the edge is told in words, by `POST /cancel` with the request's id.
 *
 * Whether that arrives changes nothing for the caller, so it is not waited for and its failure is not told.
 */
export function watchInterest(
  claims: RequestClaims,
  signer: Signer,
  underlying: Fetch,
  signal: AbortSignal | undefined,
): Interest {
  let isOver = false;
  let forget = () => {};
  const over = () => {
    isOver = true;
    forget();
  };
  const giveUp = () => {
    if (isOver) return;
    over();
    void cancel(claims, signer, underlying).catch(() => {});
  };
  const interest = { over, giveUp };
  if (signal !== undefined) forget = listenWeakly(signal, interest);
  return interest;
}

/** Runtimes that have no weak references keep the listener until the exchange is over. */
const weakly = typeof WeakRef === "function" && typeof FinalizationRegistry === "function";
const forgotten = weakly ? new FinalizationRegistry<() => void>((forget) => forget()) : undefined;

/**
 * A signal may live as long as the process, and answers that nobody reads to their end must not add up at it: the listener
 * holds its exchange no longer than somebody else does. It stands in a function of its own, or it would share its scope.
 *
 * @returns removes the listener
 */
function listenWeakly(signal: AbortSignal, interest: Interest): () => void {
  const held = weakly ? new WeakRef(interest) : { deref: () => interest };
  const onAbort = () => held.deref()?.giveUp();
  signal.addEventListener("abort", onAbort, { once: true });
  const forget = () => signal.removeEventListener("abort", onAbort);
  forgotten?.register(interest, forget);
  return forget;
}

/** Tells the edge that nobody waits for what these claims asked for. */
export async function cancel(
  { iss, aud, jti, htm, url, node }: RequestClaims,
  signer: Pick<Signer, "edge" | "sign" | "now">,
  underlying: Fetch,
): Promise<void> {
  const iat = Math.floor(signer.now() / 1_000);
  const exp = iat + REQUEST_TOKEN_SECONDS;
  const claims = {
    iss,
    aud,
    act: "cancel",
    iat,
    exp,
    jti,
    htm,
    url,
    ...(node !== undefined && { node }),
  } as const;
  const token = await signer.sign(claims);
  const headers = { [WIRE.authorization]: `Bearer ${token}` };
  const answer = await underlying(`${signer.edge}/cancel`, { method: "POST", headers, keepalive: true });
  await answer.body?.cancel();
}
