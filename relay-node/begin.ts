import type { IncomingMessage } from "node:http";
import { RelayError } from "../protocol/errors.ts";
import { checkGrantTimes, type GrantClaims } from "../protocol/grants.ts";
import { BUFFERED_BODY_BYTES } from "../protocol/limits.ts";
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
 * @returns a small body whole and proven, a stream that is held to what was signed, or null where there is none; and whether nothing
 *   was waited for since the reads of this turn were done
 * @throws RelayError `token_framing`, `body_digest`, `body_cut`, `grant_invalid`, `grant_expired`, `node_draining`,
 *   `node_out_of_service`, and what the memory of used ids says
 */
export async function beginBody(
  node: NodeContext,
  request: IncomingMessage,
  claims: GrantClaims,
  slot: ClientSlot,
): Promise<{ readonly body: Buffer | RequestBody | null; readonly isRead: boolean }> {
  const { consumed } = node;
  if (claims.tail === undefined) {
    const isRead = await consumed.consumeInTurn(consumedId(claims), claims, claims.tat, node.now());
    const { framing, digest } = claims;
    if (digest === undefined && (framing === "none" || framing === 0)) {
      assertNoBody(request);
      return { body: null, isRead };
    }
    return { body: await takeBody(request, claims, slot), isRead: false };
  }
  const body = await takeTailed(request, claims, claims.tail, slot);
  node.assertServing(true);
  checkGrantTimes(claims, node.now());
  const isRead = await consumed.consumeInTurn(consumedId(claims), claims, claims.tat, node.now());
  return { body, isRead };
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
  if (framing === "none" || framing === 0) {
    assertNoBody(request);
    if (digest !== undefined && digest !== (await digestOf(new ArrayBuffer(0)))) {
      throw new RelayError("body_digest", "the body is not the one that was signed");
    }
    return null;
  }
  const came = cameLength(request);
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
  const charge = (bytes: number) => slot.spend(bytes);
  body.charge = charge;
  return body;
}

/** The length of what comes; undefined where it has chunks. */
function cameLength({ headers }: IncomingMessage): number | undefined {
  return headers["transfer-encoding"] === undefined ? Number(headers["content-length"] ?? 0) : undefined;
}

function assertNoBody(request: IncomingMessage): void {
  if (cameLength(request) !== 0) throw new RelayError("token_framing", "signed for no body, but one came");
}
