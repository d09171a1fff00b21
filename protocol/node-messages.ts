import { RelayError } from "./errors.ts";
import type { BoundKey } from "./keys.ts";
import { NODE_MESSAGE_MAX_SECONDS } from "./limits.ts";
import { checkTimes, isDigest } from "./claims.ts";
import { digestOf, newRequestId, readBearer, REQUEST_ID, signToken, verifySignature } from "./tokens.ts";

/** What one node asks another for: to note used request ids, or to tell those that it knows. */
export type PeerAct = "consumed" | "consumed-read";

/** What a node asks its edge for: to judge a user of its proxy door, to tell what was revoked, or to note what its clients used. */
export type EdgeAct = "authorize" | "revocations" | "usage";

export type NodeMessageAct = PeerAct | EdgeAct;

/** Claims of a message from one node of a pool to another, or to its edge. Times are seconds since 1970. */
export interface NodeMessageClaims {
  /** The id of the node that speaks. */
  readonly iss: string;
  /** The id of the node that is spoken to, or the edge's origin. */
  readonly aud: string;
  readonly act: NodeMessageAct;
  readonly iat: number;
  readonly exp: number;
  readonly jti: string;
  /** RFC 9530 member of the body, `sha-256=:…:`; that of no bytes where there is none. */
  readonly digest: string;
}

/**
 * Signs a message for one other node, or for the edge.
 * @param key the private Ed25519 key of `from`
 * @param now seconds since 1970
 * @example const token = await signNodeMessage({ from: "fra-1", to: "fra-2", act: "consumed", body }, key, now);
 */
export async function signNodeMessage(
  message: {
    readonly from: string;
    readonly to: string;
    readonly act: NodeMessageAct;
    readonly body: Uint8Array<ArrayBuffer>;
  },
  key: BoundKey,
  now: number,
): Promise<string> {
  const { from, to, act, body } = message;
  const claims: NodeMessageClaims = {
    iss: from,
    aud: to,
    act,
    iat: now,
    exp: now + NODE_MESSAGE_MAX_SECONDS,
    jti: newRequestId(),
    digest: await digestOf(body),
  };
  return signToken("node", claims, key);
}

/** What a node knows when it judges a message. */
export interface NodeMessageContext {
  /** Who is spoken to: this node's id, or this edge's origin. */
  readonly audience: string;
  /** The public keys of the nodes that may speak, by id. */
  readonly nodes: ReadonlyMap<string, BoundKey>;
  readonly act: NodeMessageAct;
  /** Seconds since 1970. */
  readonly now: number;
}

/**
 * Judges a message by its token alone, before its body is read; the body has to be compared with `digest` then. That a
 * message comes twice is harmless: what it says stays true.
 *
 * @param authorization the field Relay-Authorization
 * @throws RelayError `token_missing`, `token_malformed`, `token_type`, `token_audience`, `token_act`, `token_expired`,
 *   `token_premature`, `token_lifetime`, `token_signature`
 */
export async function verifyNodeMessage(
  authorization: string | undefined,
  { audience, nodes, act, now }: NodeMessageContext,
): Promise<NodeMessageClaims> {
  const bearer = readBearer("node", authorization);
  const { iss, aud, iat, exp, jti, digest } = bearer.claims;
  const key = typeof iss === "string" ? nodes.get(iss) : undefined;
  if (key === undefined) throw new RelayError("token_signature", "iss is no node that is known here");
  await verifySignature(bearer, [key]);
  if (aud !== audience) throw new RelayError("token_audience", `aud is not ${audience}`);
  if (bearer.claims["act"] !== act) throw new RelayError("token_act", `act is not ${act}`);
  if (
    !Number.isSafeInteger(iat) ||
    !Number.isSafeInteger(exp) ||
    typeof jti !== "string" ||
    !REQUEST_ID.test(jti) ||
    !isDigest(digest)
  ) {
    throw new RelayError("token_malformed", "a claim is missing or of another type");
  }
  checkTimes(iat as number, exp as number, now, NODE_MESSAGE_MAX_SECONDS, {
    expired: "token_expired",
    premature: "token_premature",
    lifetime: "token_lifetime",
  });
  return bearer.claims as unknown as NodeMessageClaims;
}
