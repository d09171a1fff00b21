import type { JWK } from "jose";
import { type SignedEgressList, verifyEgressList } from "../protocol/egress-list.ts";
import { RelayError } from "../protocol/errors.ts";
import { EGRESS_LIST_MAX_BYTES } from "../protocol/limits.ts";
import type { Fetch } from "./wire.ts";

/** How a list is fetched. */
export interface EgressListOptions {
  /** In place of the global one. */
  readonly fetch?: Fetch | undefined;
  readonly signal?: AbortSignal | undefined;
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

async function read(url: string, { fetch = globalThis.fetch, signal }: EgressListOptions): Promise<string> {
  let response: Response;
  try {
    // A redirect would lead away from whom the list is asked of.
    response = await fetch(url, { redirect: "manual", ...(signal !== undefined && { signal }) });
  } catch (cause) {
    signal?.throwIfAborted();
    throw new RelayError("edge_unreachable", `${url} can't be read`, { cause, reached: "no" });
  }
  if (response.status !== 200) {
    await response.body?.cancel();
    throw new RelayError("edge_failed", `${url} answered ${response.status}`, { reached: "no" });
  }
  const chunks: string[] = [];
  const decoder = new TextDecoder();
  let size = 0;
  try {
    for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
      size += chunk.length;
      if (size > EGRESS_LIST_MAX_BYTES) break;
      chunks.push(decoder.decode(chunk, { stream: true }));
    }
  } catch (cause) {
    signal?.throwIfAborted();
    throw new RelayError("edge_unreachable", `${url} broke off`, { cause, reached: "no" });
  }
  if (size > EGRESS_LIST_MAX_BYTES) {
    throw new RelayError("edge_failed", `${url} is longer than ${EGRESS_LIST_MAX_BYTES} bytes`, {
      reached: "no",
    });
  }
  return chunks.join("");
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
