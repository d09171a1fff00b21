import { RelayError } from "../protocol/errors.ts";
import { newPass } from "../protocol/grants.ts";
import { WIRE } from "../protocol/headers.ts";
import { isIdempotent } from "../protocol/methods.ts";
import { failureOf, type FieldEdit, relayed, unwrapped } from "./answers.ts";
import { type Answered, askNodes, inOrder } from "./ask-nodes.ts";
import type { Authorized } from "./authorize.ts";
import type { Edge } from "./edge.ts";
import { envelopeOf, rawEnvelopeOf } from "./envelopes.ts";
import { grantFor } from "./grants.ts";
import { CANCEL_DEADLINE_MS, CANCEL_NODES_MAX } from "./limits.ts";
import type { EdgeClock } from "./timing.ts";
import { takeUpload } from "./upload.ts";

/**
 *   caller ──envelope──▶ edge ──grant + the same envelope + body──▶ node
 *   caller ◀──────────── edge ◀──marked answer, its body untouched─ node
 *
 * @throws RelayError as `askNodes`, and `body_cut`, `fields_too_large`, `status_not_representable`
 */
export async function forward(
  request: Request,
  authorized: Authorized,
  edge: Edge,
  clock: EdgeClock,
): Promise<Response> {
  if (!request.headers.has(WIRE.envelope)) {
    return forwardRaw(request, authorized, edge, clock, rawEnvelopeOf(request));
  }
  const fields: Fields = [...envelopeOf(request), [WIRE.envelope, "1"]];
  const { answer, code, timing } = await send(request, authorized, edge, clock, fields);
  return code === null ? relayed(answer, timing) : failureOf(answer, timing);
}

type Fields = [string, string][];

/**
 * The same for a request that has no envelope of its own.
 *
 * @param envelope what of the caller's fields goes on
 * @param edit what becomes of the target's fields
 */
export async function forwardRaw(
  request: Request,
  authorized: Authorized,
  edge: Edge,
  clock: EdgeClock,
  envelope: Fields,
  edit?: FieldEdit,
): Promise<Response> {
  const fields: Fields = [...envelope, [WIRE.envelope, "1; head-only"]];
  const { answer, code, timing } = await send(request, authorized, edge, clock, fields);
  if (code !== null) return failureOf(answer, timing);
  return unwrapped(answer, timing, authorized.claims.htm, edit);
}

async function send(
  request: Request,
  authorized: Authorized,
  edge: Edge,
  clock: EdgeClock,
  fields: Fields,
): Promise<Answered> {
  const { claims, framing } = authorized;
  const upload = await takeUpload(request, framing);
  return askNodes(request, authorized, edge, clock, {
    method: "POST",
    path: "/fetch",
    upload,
    repeatable: upload.kind === "held" && (claims.idempotent === true || isIdempotent(claims.htm)),
    fields,
    signal: request.signal,
  });
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
