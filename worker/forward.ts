import { errorFromProblem, RelayError, withReached } from "../protocol/errors.ts";
import { newPass, signGrant } from "../protocol/grants.ts";
import { WIRE } from "../protocol/headers.ts";
import { CLOCK_LEEWAY_SECONDS, GRANT_MAX_SECONDS } from "../protocol/limits.ts";
import { isIdempotent } from "../protocol/methods.ts";
import { nearnessOf, orderNodes } from "./order.ts";
import { failureOf, relayed, unwrapped } from "./answers.ts";
import { type Attempt, attemptAt } from "./attempt.ts";
import type { Authorized } from "./authorize.ts";
import { grantLimits } from "./client-limits.ts";
import type { EdgeNode } from "./config.ts";
import type { Edge } from "./edge.ts";
import { CANCEL_DEADLINE_MS, CANCEL_NODES_MAX } from "./limits.ts";
import type { EdgeClock } from "./timing.ts";
import { envelopeFor } from "./envelopes.ts";
import { takeUpload } from "./upload.ts";

/** What tells one try of a request from another; in the grant, and so before the node. */
interface Try {
  /** One for each time that the edge serves a request. */
  readonly pass: string;
  /** How many tries of this pass went before. */
  readonly attempt: number;
  readonly tail?: number | undefined;
}

/**
 *   caller ──envelope──▶ edge ──grant + the same envelope + body──▶ node
 *   caller ◀──────────── edge ◀──marked answer, its body untouched─ node
 *
 * Goes from node to node as long as it is certain that none has begun, or where repeating does no harm.
 *
 * @throws RelayError `body_cut`, `node_unreachable`, `node_failed`, `token_expired`, `node_draining` and whatever else a node says of itself,
 *   `fields_too_large`, `status_not_representable`
 */
export async function forward(
  request: Request,
  authorized: Authorized,
  edge: Edge,
  clock: EdgeClock,
): Promise<Response> {
  const { claims, framing } = authorized;
  const enveloped = request.headers.has(WIRE.envelope);
  const fields = envelopeFor(request, enveloped);
  const upload = await takeUpload(request, framing);
  const repeatable = upload.kind === "held" && (claims.idempotent === true || isIdempotent(claims.htm));
  const pass = newPass();
  let attempt = 0;
  /** What may have begun is not undone by what certainly has not. */
  let doubt: RelayError | undefined;
  let failure: RelayError | undefined;
  for (const node of inOrder(authorized, request, edge)) {
    // Its body may have taken long, or other nodes have. A grant after the token's time could outlive the memory of its id.
    if (Date.now() >= (claims.exp + CLOCK_LEEWAY_SECONDS) * 1_000) {
      failure ??= new RelayError("token_expired", "exp passed before the request could be sent to a node");
      break;
    }
    const headers: Attempt["headers"] = async (tail) => {
      const grant = await grantFor(authorized, node, edge, { pass, attempt, tail });
      const all = new Headers(fields);
      all.set(WIRE.authorization, `Bearer ${grant}`);
      all.set(WIRE.envelope, enveloped ? "1" : "1; head-only");
      return all;
    };
    clock.calling();
    const outcome = await attemptAt(
      { node, requestId: claims.jti, upload, repeatable, signal: request.signal, headers },
      edge.pool,
    );
    if (outcome.kind === "answer") {
      const { answer } = outcome;
      const timing = clock.timing(answer.headers.get(WIRE.timing));
      if (answer.headers.has(WIRE.error)) {
        if (doubt !== undefined) throw await inDoubt(answer);
        return failureOf(answer, timing);
      }
      return enveloped ? relayed(answer, timing) : unwrapped(answer, timing, claims.htm);
    }
    failure = outcome.error;
    // Also a node that sent nothing may have used up the id before it found that it can't go on.
    attempt++;
    if (outcome.kind === "doubt") doubt = outcome.error;
    // A stream is gone with the first node that read of it.
    if (upload.kind === "stream" || (doubt !== undefined && !repeatable)) break;
  }
  throw doubt ?? failure ?? new RelayError("no_node", "no node is configured", { requestId: claims.jti });
}

/**
 * Gives a request up whose caller went away: its node cuts the call to the target. A caller's silence alone tells nobody:
 * workerd learns that a connection is gone by writing to it, and a target may be silent for long.
 *
 * The request may be at any node that it could have gone to, so all are told.
 */
export async function cancel(request: Request, authorized: Authorized, edge: Edge): Promise<void> {
  const asked = inOrder(authorized, request, edge).slice(0, CANCEL_NODES_MAX);
  const calls = asked.map(async (node) => {
    const grant = await grantFor(authorized, node, edge, { pass: newPass(), attempt: 0 });
    const answer = await fetch(`${node.url}/cancel`, {
      method: "POST",
      headers: { [WIRE.authorization]: `Bearer ${grant}` },
      redirect: "manual",
      signal: AbortSignal.timeout(CANCEL_DEADLINE_MS),
    }).catch((cause: unknown) => {
      throw new RelayError("node_unreachable", `the call to ${node.id} failed`, { cause, node: node.id });
    });
    await answer.body?.cancel();
  });
  const results = await Promise.allSettled(calls);
  if (results.every(({ status }) => status === "rejected")) {
    throw (results[0] as PromiseRejectedResult).reason;
  }
}

function inOrder({ nodes, claims }: Authorized, request: Request, { config, pool }: Edge): EdgeNode[] {
  const now = Date.now();
  return orderNodes(nodes, claims.jti, (id) => pool.isUp(id, now), nearnessOf(request, config));
}

/** An earlier attempt may have reached the target, whatever the last one's failure says of its own. */
async function inDoubt(answer: Response): Promise<RelayError> {
  const code = answer.headers.get(WIRE.error)!;
  const error = errorFromProblem(code, await answer.text(), answer.headers);
  return error.reached === "no" ? withReached(error, "unknown") : error;
}

async function grantFor(
  { client, claims, framing, pool }: Authorized,
  node: EdgeNode,
  edge: Edge,
  { pass, attempt, tail }: Try,
): Promise<string> {
  const { act, jti, iat, htm, url, digest, idempotent, receipt } = claims;
  // A request may have waited at another node: the grant counts from now.
  const now = Math.floor(Date.now() / 1_000);
  return signGrant(
    {
      iss: edge.config.origin,
      aud: node.id,
      sub: client.id,
      act,
      iat: now,
      exp: now + GRANT_MAX_SECONDS,
      jti,
      tat: iat,
      htm,
      url,
      framing,
      ...(digest !== undefined && { digest }),
      pass,
      attempt,
      ...(idempotent !== undefined && { idempotent }),
      ...(receipt !== undefined && { receipt }),
      ...(tail !== undefined && { tail }),
      // Of the whole pool, whichever of its nodes this token names: else each node that is named had a whole share.
      limits: grantLimits(
        client.limits,
        Math.max(1, pool.filter(({ id }) => edge.pool.isUp(id, Date.now())).length),
      ),
    },
    await edge.grantKey(node),
  );
}
