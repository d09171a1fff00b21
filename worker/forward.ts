import {
  encodeSection,
  type ResponseHead,
  responseHead,
  sectionFromWire,
  sectionToWire,
  wirePieces,
} from "../protocol/envelope.ts";
import { RelayError } from "../protocol/errors.ts";
import { newPass, signGrant } from "../protocol/grants.ts";
import { type Field, isAddedInFront, isForbiddenRequestField, WIRE } from "../protocol/headers.ts";
import { GRANT_MAX_SECONDS } from "../protocol/limits.ts";
import type { Authorized } from "./authorize.ts";
import type { EdgeNode } from "./config.ts";
import type { Edge } from "./edge.ts";
import type { EdgeClock } from "./timing.ts";

/**
 *   caller ──envelope──▶ edge ──grant + the same envelope + request.body untouched──▶ node
 *   caller ◀──────────── edge ◀──marked answer, its body untouched────────────────── node
 *
 * Nothing here reads or wraps a body: a JavaScript stream that fails in mid-upload ends cleanly in workerd, and the node
 * would take a cut body for a whole one.
 *
 * @param now seconds since 1970
 * @throws RelayError `node_unreachable`, `node_failed`, `fields_too_large`, `status_not_representable`
 */
export async function forward(
  request: Request,
  authorized: Authorized,
  edge: Edge,
  now: number,
  clock: EdgeClock,
): Promise<Response> {
  const { claims, nodes } = authorized;
  const node = nodes[0]!;
  const enveloped = request.headers.has(WIRE.envelope);
  const grant = await grantFor(authorized, node, edge, now);
  const headers = new Headers(enveloped ? envelopeOf(request) : rawEnvelopeOf(request));
  headers.set(WIRE.authorization, `Bearer ${grant}`);
  headers.set(WIRE.envelope, enveloped ? "1" : "1; head-only");

  clock.calling();
  let answer: Response;
  try {
    answer = await fetch(`${node.url}/fetch`, {
      method: "POST",
      headers,
      body: request.body,
      redirect: "manual",
      signal: request.signal,
    });
  } catch (cause) {
    throw new RelayError("node_unreachable", `the call to ${node.id} failed`, {
      cause,
      node: node.id,
      requestId: claims.jti,
    });
  }
  const timing = clock.timing(answer.headers.get(WIRE.timing));
  if (answer.headers.has(WIRE.error)) return failureOf(answer, timing);
  if (answer.headers.get(WIRE.status) !== "target") {
    await answer.body?.cancel();
    throw new RelayError("node_failed", `what stands before ${node.id} answered ${answer.status} itself`, {
      node: node.id,
      requestId: claims.jti,
    });
  }
  return enveloped ? relayed(answer, timing) : unwrapped(answer, timing, claims.htm);
}

/**
 * Gives a request up whose caller went away: its node cuts the call to the target. A caller's silence alone tells nobody:
 * workerd learns that a connection is gone by writing to it, and a target may be silent for long.
 */
export async function cancel(authorized: Authorized, edge: Edge, now: number): Promise<void> {
  const node = authorized.nodes[0]!;
  const grant = await grantFor(authorized, node, edge, now);
  const answer = await fetch(`${node.url}/cancel`, {
    method: "POST",
    headers: { [WIRE.authorization]: `Bearer ${grant}` },
    redirect: "manual",
  }).catch((cause: unknown) => {
    throw new RelayError("node_unreachable", `the call to ${node.id} failed`, { cause, node: node.id });
  });
  await answer.body?.cancel();
}

async function grantFor(
  { client, claims, framing }: Authorized,
  node: EdgeNode,
  edge: Edge,
  now: number,
): Promise<string> {
  const { act, jti, iat, htm, url, digest, idempotent, receipt } = claims;
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
      pass: newPass(),
      attempt: 0,
      ...(idempotent !== undefined && { idempotent }),
      ...(receipt !== undefined && { receipt }),
    },
    await edge.grantKey(node),
  );
}

/** Our client's envelope goes on as it came. */
function envelopeOf(request: Request): [string, string][] {
  return wirePieces((name) => request.headers.get(name)).map((piece, index) => [
    `${WIRE.fields}${index + 1}`,
    piece,
  ]);
}

/** A raw caller's own fields, put into an envelope: without the ones of this hop, the relay's, and those added in front. */
function rawEnvelopeOf(request: Request): [string, string][] {
  const fields: Field[] = [];
  for (const [name, value] of request.headers) {
    if (!isForbiddenRequestField(name) && !isAddedInFront(name)) fields.push([name, bytesOf(name, value)]);
  }
  return sectionToWire(encodeSection(fields));
}

const ASCII = /^[\0-\x7f]*$/;

/** The runtime reads values as UTF-8: back to the bytes that came, where they were that. */
function bytesOf(name: string, value: string): string {
  if (ASCII.test(value)) return value;
  if (value.includes("\ufffd")) {
    throw new RelayError(
      "fields_invalid",
      `the value of ${name} is not UTF-8, which a raw request can't carry: use the enveloped form`,
    );
  }
  return Array.from(new TextEncoder().encode(value), (byte) => String.fromCharCode(byte)).join("");
}

/** And it writes them as UTF-8: bytes that are not that come out as if they had been Latin-1. */
function textOf(value: string): string {
  if (ASCII.test(value)) return value;
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
      Uint8Array.from(value, (character) => character.charCodeAt(0)),
    );
  } catch {
    return value;
  }
}

const PASSED = [WIRE.status, WIRE.node, WIRE.egress, WIRE.requestId, WIRE.envelope, WIRE.receipt] as const;

function marks(answer: Response, timing: string): Headers {
  const headers = new Headers();
  for (const name of PASSED) {
    const value = answer.headers.get(name);
    if (value !== null) headers.set(name, value);
  }
  headers.set(WIRE.timing, timing);
  // What comes through the relay is nobody else's to keep.
  headers.set("cache-control", "no-store, no-transform");
  return headers;
}

/** A target's answer for our client: the envelope as the node made it. */
function relayed(answer: Response, timing: string): Response {
  const headers = marks(answer, timing);
  wirePieces((name) => answer.headers.get(name)).forEach((piece, index) =>
    headers.set(`${WIRE.fields}${index + 1}`, piece),
  );
  return new Response(answer.body, { status: 200, headers });
}

/** A node's typed failure. */
function failureOf(answer: Response, timing: string): Response {
  const headers = marks(answer, timing);
  for (const name of ["content-type", WIRE.error, WIRE.reached, "proxy-status", "retry-after"]) {
    const value = answer.headers.get(name);
    if (value !== null) headers.set(name, value);
  }
  return new Response(answer.body, { status: answer.status, headers });
}

/** Statuses whose answer has no body (Fetch standard, "null body status"). */
const NULL_BODY = new Set([204, 205, 304]);

/** The head in an answer's envelope. What is wrong with it is not the caller's fault, whose request has been made. */
async function headOf(answer: Response): Promise<ResponseHead> {
  try {
    return responseHead(sectionFromWire((name) => answer.headers.get(name)));
  } catch (cause) {
    await answer.body?.cancel();
    throw new RelayError("answer_invalid", "the node's answer can't be read", { cause });
  }
}

/** A target's answer for a raw caller: its status and fields on the wire, as far as the runtime can say them. */
async function unwrapped(answer: Response, timing: string, method: string): Promise<Response> {
  const { status, reason, fields } = await headOf(answer);
  if (status > 599) {
    await answer.body?.cancel();
    throw new RelayError(
      "status_not_representable",
      `the target answered ${status}, which a raw answer can't carry`,
    );
  }
  const empty = method === "HEAD" || NULL_BODY.has(status);
  const headers = new Headers();
  for (const [name, value] of fields) {
    // The body's own framing says its length, but for an answer without one.
    if (empty || name.toLowerCase() !== "content-length") headers.append(name, textOf(value));
  }
  for (const [name, value] of marks(answer, timing)) {
    if (name !== WIRE.envelope && name !== "cache-control") headers.set(name, value);
  }
  if (empty) await answer.body?.cancel();
  return new Response(empty ? null : answer.body, {
    status,
    statusText: /^[\t\x20-\x7e]*$/.test(reason) ? reason : "",
    headers,
    // The bytes are the target's own, already encoded as Content-Encoding says.
    encodeBody: "manual",
  });
}
