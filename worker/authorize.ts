import { RelayError } from "../protocol/errors.ts";
import { WIRE } from "../protocol/headers.ts";
import { parseTargetUrl, parseTunnelUrl } from "../protocol/targets.ts";
import { checkRequestClaims, type Framing, type RequestAct, type RequestClaims } from "../protocol/claims.ts";
import { readBearer } from "../protocol/tokens.ts";
import { holdToCeiling } from "./ceilings.ts";
import type { Client } from "./clients.ts";
import type { EdgeNode } from "./config.ts";
import type { Edge, Env } from "./edge.ts";
import { judgeTarget, type Wanted } from "./judge-target.ts";
import { proveBearer } from "./keyless/bearer.ts";
import { reachTarget } from "./reach-target.ts";
import { proveSigner } from "./signers.ts";
import { atSendersCost } from "./strangers.ts";

/** A request that may be made: who asks, what for, and the nodes that may make it, in no order. */
export interface Authorized {
  readonly client: Client;
  /** Thumbprint of the client's key that signed; undefined where a platform's token came in place of a signature. */
  readonly key: string | undefined;
  /** The id of the client's rule by which a platform's workload was let in; undefined where a registered key signed. */
  readonly rule: string | undefined;
  /** The id of what is good for more than one request, as `Scope` has it. */
  readonly cred?: string;
  readonly claims: RequestClaims;
  readonly framing: Framing;
  readonly nodes: readonly EdgeNode[];
  /** All nodes of the client's pool, also those that this request's token leaves out. */
  readonly pool: readonly EdgeNode[];
}

/**
 * Proves a request token: who signs, and whether it is for this door and this moment. Whatever costs a look-up or a signature
 * comes after what does not, and after many failures of one sender not at all.
 *
 * @param authorization `Bearer <token>`
 * @param now seconds since 1970
 * @param act the door's own
 * @throws RelayError any of the token codes, those of a certificate, `client_unknown`, `rate_limited`, `quota_exceeded`
 */
export async function proveRequest(
  request: Request,
  authorization: string | null,
  edge: Edge,
  env: Env,
  now: number,
  act: RequestAct,
): Promise<Pick<Authorized, "client" | "claims" | "key" | "rule">> {
  const proven = await atSendersCost(request, edge, env, async (admit) => {
    const unverified = readBearer("request", authorization);
    const claims = checkRequestClaims(unverified.claims, edge.config.origin, now, act);
    admit(edge.knows(claims.iss));
    const client = await edge.client(claims.iss, env, now * 1_000);
    const { key, rule } = await proveSigner(unverified, client, edge, now);
    return { claims, client, key, rule };
  });
  // Giving up is never too much: it makes room.
  if (act !== "cancel") await holdToCeiling(proven.client, env);
  return proven;
}

/**
 * Judges a request by its token, or by a platform's, and what the client may reach.
 *
 * @param now seconds since 1970
 * @param act the door's own
 * @throws RelayError as `proveRequest`, `proveBearer` and `eligibleNodes`, and `url_invalid`, `token_url`, `token_framing`,
 *   `target_not_allowed`
 */
export async function authorize(
  request: Request,
  edge: Edge,
  env: Env,
  now: number,
  act: "fetch" | "cancel" | "enqueue" = "fetch",
): Promise<Authorized> {
  const { headers } = request;
  const { claims, client, key, rule } =
    act === "fetch" && headers.has(WIRE.client)
      ? await proveBearer(request, edge, env, now)
      : await proveRequest(request, headers.get(WIRE.authorization), edge, env, now, act);
  const restated = headers.get(WIRE.target);
  if (restated !== null && restated !== claims.url) {
    throw new RelayError("token_url", "Relay-Target is not the URL that was signed");
  }
  const framing = framingOf(request);
  if (claims.framing !== undefined && !mayBe(claims.framing, framing)) {
    throw new RelayError("token_framing", `signed for ${claims.framing}, came as ${framing}`);
  }
  const wanted = wantedBy(claims);
  // What is given up was noted when it was begun.
  if (act === "cancel") judgeTarget(wanted, client);
  else reachTarget(edge, env, act === "fetch" ? "fetch" : "delivery", client, wanted);
  return {
    client,
    claims,
    key,
    rule,
    framing: claims.framing ?? framing,
    ...eligibleNodes(edge.config.nodes, client, claims.node),
  };
}

/** Only what is given up can be a stream, which is then being opened. */
function wantedBy({ act, htm, url }: RequestClaims): Wanted {
  if (act === "cancel" && url.startsWith("tcp:")) return streamTo(url);
  return { kind: "request", method: htm, url: parseTargetUrl(url) };
}

/**
 * A stream as it is judged.
 * @param url `tcp://host:port`
 * @throws RelayError `url_invalid`
 */
export function streamTo(url: string): Wanted & { readonly kind: "tunnel" } {
  return { kind: "tunnel", as: "stream", target: parseTunnelUrl(url) };
}

/** How the body came in. What the signer said of it is compared with this, and the node holds the body to it. */
export function framingOf({ headers, body }: Request): Framing {
  const length = headers.get("content-length");
  if (length !== null) return Number(length);
  return body === null ? "none" : "chunked";
}

/**
 * Whether a body may be what was signed, as far as the head tells. An HTTP stack gives an empty POST a length of 0, and a
 * proxy in between may turn a length into chunks or the reverse; the node counts the bytes in every case.
 */
function mayBe(signed: Framing, came: Framing): boolean {
  if (signed === "none" || signed === 0) return came === "none" || came === 0;
  return signed === "chunked" || came === "chunked" ? came !== "none" : came === signed;
}

/** The nodes that a client may leave from. */
export function poolOf(nodes: readonly EdgeNode[], { pool }: Client): readonly EdgeNode[] {
  return pool === undefined ? nodes : nodes.filter(({ id }) => pool.has(id));
}

/**
 * Those of a client's nodes that one request may be made by.
 * @param chosen the nodes that its token names
 * @throws RelayError `node_unknown`, `no_node`
 */
export function eligibleNodes(
  nodes: readonly EdgeNode[],
  client: Client,
  chosen: RequestClaims["node"],
): Pick<Authorized, "nodes" | "pool"> {
  const pool = poolOf(nodes, client);
  const choice = chosen === undefined ? undefined : new Set([chosen].flat());
  const named = choice === undefined ? pool : pool.filter(({ id }) => choice.has(id));
  if (named.length > 0) return { nodes: named, pool };
  if (choice !== undefined && pool.length > 0) {
    const names = [...choice].join(", ").slice(0, 64);
    throw new RelayError("node_unknown", `no node ${names} in the pool of ${client.id}`);
  }
  throw new RelayError("no_node", `no node of the pool of ${client.id} is configured`);
}
