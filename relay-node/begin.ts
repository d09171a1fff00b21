import type { IncomingMessage } from "node:http";
import type { Dispatcher } from "undici";
import { RelayError } from "../protocol/errors.ts";
import { checkGrantTimes, type GrantClaims } from "../protocol/grants.ts";
import { BUFFERED_BODY_BYTES } from "../protocol/limits.ts";
import type { TargetUrl } from "../protocol/targets.ts";
import { digestOf } from "../protocol/tokens.ts";
import type { ClientSlot } from "./client-limits.ts";
import type { NodeContext } from "./context.ts";
import { readWhole, RequestBody } from "./request-body.ts";

/**
 * Consumes the request's id and takes its body.
 *
 * Where the edge sends a tail, it counts on this: as long as it has not handed the tail over, the request has not begun,
 * and another node may be sent it. So the id is consumed after. Otherwise nothing waits between the grant's verdict and
 * the id, least of all for a body: what the grant said of the time would be old.
 *
 * @returns a small body whole and proven, a stream that is held to what was signed, or null where there is none
 * @throws RelayError `token_framing`, `body_digest`, `body_cut`, `grant_invalid`, `grant_expired`, `node_draining`,
 *   `node_out_of_service`, and what the memory of used ids says
 */
export async function beginBody(
  node: NodeContext,
  request: IncomingMessage,
  claims: GrantClaims,
  slot: ClientSlot,
): Promise<Buffer | RequestBody | null> {
  const { consumed } = node;
  if (claims.tail === undefined) {
    await consumed.consumeInTurn(consumedId(claims), claims, claims.tat, node.now());
    return takeBody(request, claims, slot);
  }
  const body = await takeTailed(request, claims, claims.tail, slot);
  node.assertServing(true);
  checkGrantTimes(claims, node.now());
  await consumed.consumeInTurn(consumedId(claims), claims, claims.tat, node.now());
  return body;
}

/** An id is its client's own: another's is another id. */
export function consumedId({ sub, jti }: Pick<GrantClaims, "sub" | "jti">): string {
  return `${sub} ${jti}`;
}

/** A small body, or none, with the tail behind it. */
async function takeTailed(
  request: IncomingMessage,
  { framing, digest }: GrantClaims,
  tail: number,
  slot: ClientSlot,
): Promise<Buffer | null> {
  const length = framing === "none" ? 0 : framing;
  if (length === "chunked" || length > BUFFERED_BODY_BYTES) {
    throw new RelayError("grant_invalid", "a tail stands behind a small body of a known length alone");
  }
  const body = await readWhole(request, { length, digest, tail });
  slot.spend(length);
  return length === 0 ? null : body;
}

/** The body as it was signed: none, a small one whole and proven, or a stream that is held to what was signed. */
async function takeBody(
  request: IncomingMessage,
  { framing, digest }: GrantClaims,
  slot: ClientSlot,
): Promise<Buffer | RequestBody | null> {
  const { headers } = request;
  const came =
    headers["transfer-encoding"] === undefined ? Number(headers["content-length"] ?? 0) : undefined;
  if (framing === "none" || framing === 0) {
    if (came !== 0) throw new RelayError("token_framing", "signed for no body, but one came");
    if (digest !== undefined && digest !== (await digestOf(new ArrayBuffer(0)))) {
      throw new RelayError("body_digest", "the body is not the one that was signed");
    }
    return null;
  }
  if (typeof framing === "number") {
    if (came !== undefined && came !== framing) {
      throw new RelayError("token_framing", `signed for ${framing} bytes, ${came} came`);
    }
    if (digest !== undefined && framing <= BUFFERED_BODY_BYTES) {
      const whole = await readWhole(request, { length: framing, digest, tail: 0 });
      slot.spend(whole.length);
      return whole;
    }
  }
  const body = new RequestBody(request, framing, digest);
  body.charge = (bytes) => slot.spend(bytes);
  return body;
}

/** What undici is to send. */
export function dispatchOptions(
  { htm, framing }: Pick<GrantClaims, "htm" | "framing">,
  { origin, path, authority }: TargetUrl,
  fields: string[],
  body: Buffer | RequestBody | null,
): Dispatcher.DispatchOptions {
  const headers = ["host", authority, ...fields];
  if (typeof framing === "number" && body !== null) headers.push("content-length", String(framing));
  return { origin, path, method: htm, headers, body: body as Dispatcher.DispatchOptions["body"] & object };
}
