import { RelayError } from "../protocol/errors.ts";
import { WIRE } from "../protocol/headers.ts";
import { isAllowed, isTunnelAllowed, parseTargetUrl, parseTunnelUrl } from "../protocol/targets.ts";
import { checkRequestClaims, type Framing, type RequestAct, type RequestClaims } from "../protocol/claims.ts";
import { readBearer, verifySignature } from "../protocol/tokens.ts";
import { isOver } from "./ceilings.ts";
import type { Client } from "./clients.ts";
import type { EdgeNode } from "./config.ts";
import type { Edge, Env } from "./edge.ts";
import { CEILING_SECONDS } from "./limits.ts";
import { checkQuota } from "./quota.ts";
import { atSendersCost } from "./strangers.ts";

/** A request that may be made: who asks, what for, and the nodes that may make it, in no order. */
export interface Authorized {
  readonly client: Client;
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
 * @throws RelayError any of the token codes, `client_unknown`, `rate_limited`, `quota_exceeded`
 */
export async function proveRequest(
  request: Request,
  authorization: string | null,
  edge: Edge,
  env: Env,
  now: number,
  act: RequestAct,
): Promise<Pick<Authorized, "client" | "claims">> {
  const proven = await atSendersCost(request, edge, env, async (admit) => {
    const unverified = readBearer("request", authorization);
    const claims = checkRequestClaims(unverified.claims, edge.config.origin, now, act);
    admit(edge.knows(claims.iss));
    const client = await edge.client(claims.iss, env, now * 1_000);
    await verifySignature(unverified, client.keys);
    return { claims, client };
  });
  // Giving up is never too much: it makes room.
  if (act !== "cancel") await holdToCeiling(proven.client, env);
  return proven;
}

/**
 * Holds a client to its quota, and to the platform's coarse ceiling.
 * @throws RelayError `quota_exceeded`, `rate_limited`
 */
export async function holdToCeiling({ id, quota }: Client, env: Env): Promise<void> {
  checkQuota(id, quota, Date.now());
  if (await isOver(env.CLIENT_CEILING, id)) {
    throw new RelayError("rate_limited", `${id} is over the edge's own ceiling`, {
      retryAfter: CEILING_SECONDS,
    });
  }
}

/**
 * Judges a request by its token, and what the client may reach.
 *
 * @param now seconds since 1970
 * @param act the door's own
 * @throws RelayError as `proveRequest` and `eligibleNodes`, and `url_invalid`, `token_url`, `token_framing`, `target_not_allowed`
 */
export async function authorize(
  request: Request,
  edge: Edge,
  env: Env,
  now: number,
  act: "fetch" | "cancel" = "fetch",
): Promise<Authorized> {
  const { headers } = request;
  const { claims, client } = await proveRequest(
    request,
    headers.get(WIRE.authorization),
    edge,
    env,
    now,
    act,
  );
  const restated = headers.get(WIRE.target);
  if (restated !== null && restated !== claims.url) {
    throw new RelayError("token_url", "Relay-Target is not the URL that was signed");
  }
  const framing = framingOf(request);
  if (claims.framing !== undefined && !mayBe(claims.framing, framing)) {
    throw new RelayError("token_framing", `signed for ${claims.framing}, came as ${framing}`);
  }
  if (act === "cancel" && claims.url.startsWith("tcp:")) checkTunnel(client, claims.url);
  else checkTarget(client, claims);
  return {
    client,
    claims,
    framing: claims.framing ?? framing,
    ...eligibleNodes(edge.config.nodes, client, claims.node),
  };
}

function checkTarget({ id, allow }: Client, { htm, url }: RequestClaims): void {
  const target = parseTargetUrl(url);
  if (!isAllowed(allow, htm, target)) {
    throw new RelayError("target_not_allowed", `${id} may not send ${htm} to ${target.origin}`);
  }
}

/**
 * Whether a client may open a stream to `tcp://host:port`.
 * @throws RelayError `url_invalid`, `target_not_allowed`
 */
export function checkTunnel({ id, allow }: Client, url: string): void {
  const target = parseTunnelUrl(url);
  if (!isTunnelAllowed(allow, target)) {
    throw new RelayError("target_not_allowed", `${id} may open no stream to ${target.authority}`);
  }
}

/** How the body came in. What the signer said of it is compared with this, and the node holds the body to it. */
function framingOf({ headers, body }: Request): Framing {
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
