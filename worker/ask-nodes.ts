import { errorFromProblem, RelayError, withReached } from "../protocol/errors.ts";
import { newPass } from "../protocol/grants.ts";
import { type Field, WIRE } from "../protocol/headers.ts";
import { CLOCK_LEEWAY_SECONDS } from "../protocol/limits.ts";
import { attemptAt, type Errand } from "./attempt.ts";
import type { Authorized } from "./authorize.ts";
import type { EdgeNode } from "./config.ts";
import type { Edge } from "./edge.ts";
import { grantFor } from "./grants.ts";
import { type Caller, nearnessOf, orderNodes } from "./order.ts";
import type { EdgeClock } from "./timing.ts";

/** What a node answered. */
export interface Answered {
  /** A target's answer, or with `Relay-Error` a failure that is the last word. */
  readonly answer: Response;
  /** The error's code; null where the answer is a target's. */
  readonly code: string | null;
  /** `Relay-Timing` for the caller. */
  readonly timing: string;
}

/** What is asked of one node after the other. */
export interface NodesErrand extends Errand {
  /** What goes with each call besides the grant. */
  readonly fields: readonly Field[];
  /** The caller's own. */
  readonly signal: AbortSignal;
  /** Told of each node before it is called. */
  readonly onCall?: (node: EdgeNode) => void;
}

/**
 * Asks one node after the other, each under a grant of its own, as long as it is certain that none has begun, or where
 * repeating does no harm.
 *
 * @throws RelayError `node_unreachable`, `node_failed`, `token_expired`, `node_draining` and whatever else a node says of itself,
 *   `no_node`
 */
export async function askNodes(
  caller: Caller,
  authorized: Authorized,
  edge: Edge,
  clock: EdgeClock,
  errand: NodesErrand,
): Promise<Answered> {
  const { claims } = authorized;
  const pass = newPass();
  let attempt = 0;
  /** What may have begun is not undone by what certainly has not. */
  let doubt: RelayError | undefined;
  let failure: RelayError | undefined;
  for (const node of inOrder(authorized, caller, edge)) {
    // Its body may have taken long, or other nodes have. A grant after the token's time could outlive the memory of its id.
    if (Date.now() >= (claims.exp + CLOCK_LEEWAY_SECONDS) * 1_000) {
      failure ??= new RelayError("token_expired", "exp passed before the request could be sent to a node");
      break;
    }
    const headers = async (tail: number | undefined) => {
      const grant = await grantFor(authorized, node, edge, { pass, attempt, tail });
      return [...errand.fields, [WIRE.authorization, `Bearer ${grant}`] as const];
    };
    clock.calling();
    errand.onCall?.(node);
    const outcome = await attemptAt({ ...errand, node, requestId: claims.jti, headers }, edge.pool);
    if (outcome.kind === "answer") {
      const { answer, code } = outcome;
      if (doubt !== undefined && code !== null) throw await inDoubt(answer, code);
      return { answer, code, timing: clock.timing(answer.headers.get(WIRE.timing)) };
    }
    failure = outcome.error;
    // Also a node that sent nothing may have used up the id before it found that it can't go on.
    attempt++;
    if (outcome.kind === "doubt") doubt = outcome.error;
    // A stream is gone with the first node that read of it.
    if (errand.upload.kind === "stream" || (doubt !== undefined && !errand.repeatable)) break;
  }
  throw doubt ?? failure ?? new RelayError("no_node", "no node is configured", { requestId: claims.jti });
}

/** The nodes that a request may be made by, in the order in which they are asked. */
export function inOrder({ nodes, claims }: Authorized, caller: Caller, { config, pool }: Edge): EdgeNode[] {
  const now = Date.now();
  return orderNodes(nodes, claims.jti, (id) => pool.isUp(id, now), nearnessOf(caller, config));
}

/** An earlier attempt may have reached the target, whatever the last one's failure says of its own. */
async function inDoubt(answer: Response, code: string): Promise<RelayError> {
  const error = errorFromProblem(code, await answer.text(), answer.headers);
  return error.reached === "no" ? withReached(error, "unknown") : error;
}
