import { waitUntil } from "cloudflare:workers";
import type { Framing } from "../../protocol/claims.ts";
import { encodeSection, sectionToWire } from "../../protocol/envelope.ts";
import { RelayError } from "../../protocol/errors.ts";
import { WIRE } from "../../protocol/headers.ts";
import { isIdempotent } from "../../protocol/methods.ts";
import { askNodes } from "../ask-nodes.ts";
import { holdToCeiling } from "../ceilings.ts";
import type { EdgeNode } from "../config.ts";
import type { Edge, Env } from "../edge.ts";
import { withFreshHealth } from "../healthy.ts";
import { ATTEMPT_DEADLINE_MS } from "../limits.ts";
import { probe } from "../probe.ts";
import { reachTarget } from "../reach-target.ts";
import { requestUnder } from "../scoped.ts";
import { EdgeClock } from "../timing.ts";
import type { AttemptResult, Deliver, StoredBody } from "./attempt-result.ts";
import type { StoredEvent } from "./event.ts";
import { resultOfAnswer } from "./send/answer.ts";
import { checkedBody, feedBody } from "./send/body.ts";
import { NOWHERE, resultOfError, resultOfThrown } from "./send/failure.ts";
import { openEvent, wantedBy } from "./send/outgoing.ts";
import { signedFields } from "./send/sign.ts";

/**
 *   store ──event──▶ edge ──grant + envelope + body──▶ node ──▶ target
 *
 * How a store makes its attempts: like a fetch of the client's, through the pool, under what the client may reach and use now.
 */
export function deliverBy(edge: Edge, env: Env): Deliver {
  return async (event, body) => {
    try {
      return await withFreshHealth(edge, env, waitUntil, () => attempt(event, checkedBody(body), edge, env));
    } catch (error) {
      return resultOfThrown(error, NOWHERE);
    }
  };
}

async function attempt(event: StoredEvent, body: StoredBody, edge: Edge, env: Env): Promise<AttemptResult> {
  const began = Date.now();
  const outgoing = await openEvent(event, edge, env, began);
  const { client, url } = outgoing;
  reachTarget(edge, env, event.kind === "hook" ? "hook" : "delivery", client, wantedBy(event.method, url));
  await holdToCeiling(client, env);
  const now = Math.floor(Date.now() / 1_000);
  const fields = await signedFields(outgoing, event.id, body, edge, now);
  const call = {
    act: "fetch",
    htm: event.method,
    url,
    ...(body.size > 0 && { digest: event.digest }),
    receipt: true,
  } as const;
  const own = {
    client,
    key: undefined,
    rule: undefined,
    claims: { iss: client.id, aud: edge.config.origin },
  };
  const authorized = requestUnder(own, call, framingOf(event.method, body.size), edge, now);
  // Its store may have given it up by the end of a long wait, and have begun another one.
  if (Date.now() - began > ATTEMPT_DEADLINE_MS) {
    const seconds = ATTEMPT_DEADLINE_MS / 1_000;
    throw new RelayError("registry_unavailable", `what it needs was not there within ${seconds} s`);
  }
  const gaveUp = new AbortController();
  const deadline = AbortSignal.timeout(ATTEMPT_DEADLINE_MS);
  const { upload, failure } = feedBody(body, gaveUp);
  const called: EdgeNode[] = [];
  try {
    const { answer } = await askNodes({}, authorized, edge, new EdgeClock(), {
      method: "POST",
      path: "/fetch",
      upload,
      repeatable: upload.kind === "held" && isIdempotent(event.method),
      fields: [...sectionToWire(encodeSection(fields)), [WIRE.envelope, "1; head-only"]],
      signal: AbortSignal.any([deadline, gaveUp.signal]),
      onCall: (node) => called.push(node),
    });
    return await resultOfAnswer(answer, authorized, edge, Date.now());
  } catch (error) {
    const made = { node: called.at(-1)?.id ?? null, egress: null };
    if (failure() !== undefined) return resultOfThrown(failure(), made);
    return deadline.aborted ? resultOfError(await lateness(called, edge), made) : resultOfThrown(error, made);
  } finally {
    // Whatever of it still is on its way is for nobody.
    gaveUp.abort();
  }
}

/** A stored body is whole, so its length is known; of none at all only those methods tell that have one (RFC 9110 section 8.6). */
function framingOf(method: string, size: number): Framing {
  return size > 0 || ["POST", "PUT", "PATCH"].includes(method) ? size : "none";
}

/**
 * Whose fault it is that an attempt has taken all of its time: a target's, where its node is there, and where no other one took of
 * that time before it.
 */
async function lateness(called: readonly EdgeNode[], edge: Edge): Promise<RelayError> {
  const [node, ...others] = called.toReversed();
  const seconds = ATTEMPT_DEADLINE_MS / 1_000;
  if (node === undefined || others.length > 0) {
    return new RelayError("node_unreachable", `no node made the call within ${seconds} s`);
  }
  const fault = await probe(node);
  if (fault === undefined) {
    edge.pool.heard(node.id, Date.now());
    return new RelayError("target_timeout", `the target did not answer within ${seconds} s`);
  }
  edge.pool.failed(node.id, fault, Date.now());
  return new RelayError("node_unreachable", `${node.id} was silent for ${seconds} s: ${fault.reason}`);
}
