import type { JWK } from "jose";
import { type SignedEgressList, verifyEgressList } from "../protocol/egress-list.ts";
import { RelayError } from "../protocol/errors.ts";
import { EGRESS_LIST_MAX_BYTES } from "../protocol/limits.ts";
import { type PublishedOptions, readPublished } from "./published.ts";

/** How a list is fetched. */
export interface EgressListOptions extends PublishedOptions {
  /** Seconds since 1970; the clock's by default. */
  readonly now?: number | undefined;
}

/**
 * The addresses that an edge publishes, proven by the edge's own key.
 *
 * @param edge the edge's origin
 * @throws RelayError `edge_unreachable`, `edge_failed` (another answer than its list), or what `verifyEgressList` throws;
 * or the signal's reason
 * @example const { addresses } = await fetchEgressList("https://edge.example.com");
 */
export async function fetchEgressList(
  edge: string,
  options: EgressListOptions = {},
): Promise<SignedEgressList> {
  const { now = Math.floor(Date.now() / 1_000) } = options;
  const [jwt, jwks] = await Promise.all([
    read(`${edge}/.well-known/egress.jwt`, options),
    read(`${edge}/.well-known/jwks.json`, options),
  ]);
  return verifyEgressList(jwt.trim(), parseJwks(jwks), edge, now);
}

async function read(url: string, options: PublishedOptions): Promise<string> {
  const text = await readPublished(url, EGRESS_LIST_MAX_BYTES, options);
  if (text === undefined) throw new RelayError("edge_failed", `${url} answered 404`, { reached: "no" });
  return text;
}

function parseJwks(text: string): { readonly keys: readonly JWK[] } {
  try {
    const value = JSON.parse(text) as { readonly keys?: unknown };
    if (Array.isArray(value.keys)) {
      return { keys: value.keys.filter((key) => typeof key === "object" && key !== null) as JWK[] };
    }
  } catch {
    // Told below, as anything else that is no set of keys.
  }
  throw new RelayError("edge_failed", "jwks.json is no set of keys", { reached: "no" });
}
