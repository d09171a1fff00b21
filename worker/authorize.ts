import { RelayError } from "../protocol/errors.ts";
import { WIRE } from "../protocol/headers.ts";
import { isAllowed, parseTargetUrl, type TargetUrl } from "../protocol/targets.ts";
import {
  checkRequestClaims,
  type Framing,
  readBearer,
  type RequestAct,
  type RequestClaims,
  verifySignature,
} from "../protocol/tokens.ts";
import { isOver } from "./ceilings.ts";
import type { Client } from "./clients.ts";
import type { EdgeNode } from "./config.ts";
import type { Edge, Env } from "./edge.ts";
import { CEILING_SECONDS } from "./limits.ts";
import { atSendersCost } from "./strangers.ts";

/** A request that may be made: who asks, what for, and the nodes that may make it, in no order. */
export interface Authorized {
  readonly client: Client;
  readonly claims: RequestClaims;
  readonly target: TargetUrl;
  readonly framing: Framing;
  readonly nodes: readonly EdgeNode[];
  /** All nodes of the client's pool, also those that this request's token leaves out. */
  readonly pool: readonly EdgeNode[];
}

/**
 * Judges a request by its token: who signs, whether it is for this door and this moment, and what the client may reach.
 * Whatever costs a look-up or a signature comes after what does not, and after many failures of one sender not at all.
 *
 * @param now seconds since 1970
 * @param act the door's own
 * @throws RelayError any of the token codes, `client_unknown`, `url_invalid`, `target_not_allowed`, `node_unknown`, `no_node`, `rate_limited`
 */
export async function authorize(
  request: Request,
  edge: Edge,
  env: Env,
  now: number,
  act: RequestAct = "fetch",
): Promise<Authorized> {
  const { headers } = request;
  const { claims, client } = await atSendersCost(request, edge, env, async (admit) => {
    const unverified = readBearer("request", headers.get(WIRE.authorization));
    const signed = checkRequestClaims(unverified.claims, edge.config.origin, now, act);
    admit(edge.knows(signed.iss));
    const signer = await edge.client(signed.iss, env, now * 1_000);
    await verifySignature(unverified, signer.keys);
    return { claims: signed, client: signer };
  });
  // Giving up is never too much: it makes room.
  if (act !== "cancel" && (await isOver(env.CLIENT_CEILING, client.id))) {
    throw new RelayError("rate_limited", `${client.id} is over the edge's own ceiling`, {
      retryAfter: CEILING_SECONDS,
    });
  }

  const restated = headers.get(WIRE.target);
  if (restated !== null && restated !== claims.url) {
    throw new RelayError("token_url", "Relay-Target is not the URL that was signed");
  }
  const framing = framingOf(request);
  if (claims.framing !== undefined && !mayBe(claims.framing, framing)) {
    throw new RelayError("token_framing", `signed for ${claims.framing}, came as ${framing}`);
  }
  const target = parseTargetUrl(claims.url);
  if (!isAllowed(client.allow, claims.htm, target)) {
    throw new RelayError("target_not_allowed", `${client.id} may not send ${claims.htm} to ${target.origin}`);
  }
  return {
    client,
    claims,
    target,
    framing: claims.framing ?? framing,
    ...eligible(edge.config.nodes, client, claims),
  };
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

function eligible(
  nodes: readonly EdgeNode[],
  client: Client,
  claims: RequestClaims,
): Pick<Authorized, "nodes" | "pool"> {
  const pool = poolOf(nodes, client);
  const choice = claims.node === undefined ? undefined : new Set([claims.node].flat());
  const named = choice === undefined ? pool : pool.filter(({ id }) => choice.has(id));
  if (named.length > 0) return { nodes: named, pool };
  if (choice !== undefined && pool.length > 0) {
    const names = [...choice].join(", ").slice(0, 64);
    throw new RelayError("node_unknown", `no node ${names} in the pool of ${client.id}`);
  }
  throw new RelayError("no_node", `no node of the pool of ${client.id} is configured`);
}
