import { abortable } from "../protocol/abort.ts";
import { encodeSection, sectionToWire } from "../protocol/envelope.ts";
import { RelayError } from "../protocol/errors.ts";
import { type Field, WIRE } from "../protocol/headers.ts";
import { type RequestClaims } from "../protocol/claims.ts";
import { newRequestId } from "../protocol/tokens.ts";
import { parseTargetUrl } from "../protocol/targets.ts";
import type { Body } from "./body.ts";
import { type Interest, watchInterest } from "./cancel.ts";
import type { HostMatcher } from "./hosts.ts";
import { REQUEST_TOKEN_SECONDS } from "./limits.ts";
import type { ReceiptRules } from "./receipts.ts";
import type { ClientSigner } from "./signer.ts";

/** The part of `fetch` that this client is and that it uses underneath. */
export type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>;

/** Who signs, and for which edge. */
export interface Signer extends Pick<ClientSigner, "edge" | "clientId" | "sign" | "refused"> {
  readonly node: string | readonly string[] | undefined;
  readonly idempotent: boolean;
  /** What each answer's receipt is judged by; undefined where none is asked for. */
  readonly receipts: ReceiptRules | undefined;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Everything that a call needs beside its own arguments. */
export interface Settings extends Signer {
  /** Which hosts go through the relay; undefined for all. */
  readonly relayed: HostMatcher | undefined;
  readonly decompress: boolean;
  /** The fetch underneath, looked up at each call. */
  readonly underlying: () => Fetch;
}

/** One call to be made by the relay. */
export interface Call {
  readonly method: string;
  readonly url: string;
  /** All end-to-end fields. */
  readonly fields: readonly Field[];
  readonly body: Body;
  readonly signal: AbortSignal | undefined;
}

/** The edge's answer, and what is needed to explain how it ends. */
export interface Exchange {
  readonly wire: Response;
  readonly requestId: string;
  readonly interest: Interest;
  /** Turns a failure underneath into what the app is to see. */
  readonly explain: (otherwise: () => unknown) => unknown;
}

/** The claims for one call: pure, with id and time passed in. */
export function requestClaims(
  { method, url, body }: Pick<Call, "method" | "url" | "body">,
  {
    edge,
    clientId,
    node,
    idempotent,
    receipts,
  }: Pick<Signer, "edge" | "clientId" | "node" | "idempotent" | "receipts">,
  { id, seconds }: { readonly id: string; readonly seconds: number },
): RequestClaims {
  return {
    iss: clientId,
    aud: edge,
    act: "fetch",
    iat: seconds,
    exp: seconds + REQUEST_TOKEN_SECONDS,
    jti: id,
    htm: method,
    url,
    framing: body.framing,
    ...(body.digest !== undefined && { digest: body.digest }),
    ...(node !== undefined && { node }),
    ...(idempotent && { idempotent }),
    ...(receipts !== undefined && { receipt: true }),
  };
}

/**
 * Signs a call and sends it to the edge.
 *
 * @throws RelayError `url_invalid`, `fields_invalid`, `edge_unreachable`; the signal's reason; TypeError where the
 *   caller's own body stream fails
 */
export async function send(call: Call, signer: Signer, underlying: Fetch): Promise<Exchange> {
  parseTargetUrl(call.url);
  const section = sectionToWire(encodeSection(call.fields));
  const requestId = newRequestId();
  const claims = requestClaims(call, signer, { id: requestId, seconds: Math.floor(signer.now() / 1000) });
  const token = await abortable(signer.sign(claims), call.signal);
  const init: RequestInit = {
    method: "POST",
    headers: [
      [WIRE.authorization, `Bearer ${token}`],
      [WIRE.envelope, "1"],
      // A CDN in front of the edge may compress what it takes for a page.
      ["accept-encoding", "identity"],
      ...section,
    ],
    redirect: "manual",
  };
  const { failure, abandon } = attachBody(init, call.body, call.signal);
  const explain: Exchange["explain"] = (otherwise) => failure() ?? otherwise();
  const interest = watchInterest(claims, signer, underlying, call.signal);
  try {
    return { wire: await underlying(`${signer.edge}/fetch`, init), requestId, interest, explain };
  } catch (cause) {
    interest.over();
    abandon(cause);
    throw explain(
      () => new RelayError("edge_unreachable", `${signer.edge} gave no answer`, { cause, requestId }),
    );
  }
}

/** What became of a body that was put into an init. */
export interface Attached {
  /**
   * What the caller's own side ended the exchange with: the signal's reason or, as from fetch, a TypeError where the
   * body's stream failed. Undefined where it was neither.
   */
  readonly failure: () => unknown;
  /** Tells the caller's stream that nobody will read on. */
  readonly abandon: (reason: unknown) => void;
}

/** Puts a body and a signal into an init. */
export function attachBody(
  init: RequestInit & { duplex?: "half" },
  { content }: Body,
  signal: AbortSignal | undefined,
): Attached {
  let upload: TypeError | undefined;
  const ended = new AbortController();
  if (signal !== undefined) init.signal = signal;
  if (content !== null && "open" in content) {
    init.signal = signal === undefined ? ended.signal : AbortSignal.any([signal, ended.signal]);
    init.duplex = "half";
    init.body = content.open(init.signal, (cause) => {
      upload = new TypeError("fetch failed", { cause });
      ended.abort(upload);
    });
  } else if (content !== null) {
    init.body = content;
  }
  return {
    failure: () => (signal?.aborted === true ? (signal.reason as unknown) : upload),
    abandon: (reason) => ended.abort(reason),
  };
}
