import { createPrivateKey, type KeyObject, sign } from "node:crypto";
import type { ResponseHead } from "../protocol/envelope.ts";
import type { GrantClaims } from "../protocol/grants.ts";
import type { ReceiptClaims } from "../protocol/receipts.ts";
import { parseTargetUrl } from "../protocol/targets.ts";
import { TOKEN_TYPES } from "../protocol/tokens.ts";
import type { NodeConfig } from "./config.ts";
import type { Dialed } from "./dialer.ts";
import { isBodiless } from "./exchange.ts";

/** One call whose answer's head has come. */
export interface AnsweredCall {
  readonly grant: GrantClaims;
  readonly dialed: Dialed;
  /** The published address that the connection left from. */
  readonly egress: string;
  readonly head: ResponseHead;
  /** Bytes of the request's body that were passed on. */
  readonly bytesUp: number;
  /** Seconds since 1970. */
  readonly now: number;
}

/** What a receipt says of a call. */
export function receiptClaims(call: AnsweredCall): Omit<ReceiptClaims, "iss" | "aud"> {
  const { grant, dialed, egress, head, bytesUp, now } = call;
  const declared = head.fields.find(([name]) => name.toLowerCase() === "content-length")?.[1];
  const length = isBodiless(grant.htm, head.status) ? 0 : Number(declared ?? Number.NaN);
  return {
    sub: grant.sub,
    jti: grant.jti,
    iat: now,
    htm: grant.htm,
    target: parseTargetUrl(grant.url).authority,
    egress,
    dialed: dialed.address,
    tls: dialed.tlsVersion ?? null,
    status: head.status,
    bytes_up: bytesUp,
    bytes_down: Number.isSafeInteger(length) ? length : null,
  };
}

/**
 * Signs receipts with the node's own key. It does so at once, by Node's own cryptography: a promise would let bytes of the
 * answer's body come before its head was written.
 */
export class ReceiptSigner {
  readonly #node: string;
  readonly #edge: string;
  readonly #key: KeyObject;
  readonly #header: string;

  constructor({ id, edge, signingKey }: Pick<NodeConfig, "id" | "edge" | "signingKey">) {
    this.#node = id;
    this.#edge = edge;
    this.#key = createPrivateKey({ key: { ...signingKey }, format: "jwk" });
    this.#header = encode({ alg: "Ed25519", typ: TOKEN_TYPES.receipt, kid: id });
  }

  /** A compact JWS. */
  sign(call: AnsweredCall): string {
    const input = `${this.#header}.${encode({ iss: this.#node, aud: this.#edge, ...receiptClaims(call) })}`;
    return `${input}.${sign(null, Buffer.from(input), this.#key).toString("base64url")}`;
  }
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}
