import type { Finding } from "./findings.ts";

/**
 * A path that each kind of rewriting changes: an unreserved character that is escaped (RFC 3986 section 6.2.2.2), and two slashes,
 * which Cloudflare makes one of. No URL parser on this side touches either.
 */
export const SEEN_PATH = "/seen/%7Eholdfast//x";

/** What the edge told of it. */
export interface SeenPath {
  /** Undefined where it did not tell. */
  readonly path: string | undefined;
  /** Cloudflare stands in front of the edge, or is it. */
  readonly isCloudflare: boolean;
}

/** Reads the edge's answer. */
export async function readSeen(response: Response): Promise<SeenPath> {
  const value = (response.ok ? await response.json().catch(() => undefined) : undefined) as
    | { readonly path?: unknown }
    | undefined;
  const path = typeof value?.path === "string" ? value.path : undefined;
  return { path, isCloudflare: response.headers.has("cf-ray") };
}

/**
 * Whether URLs arrive at the edge as they are sent. It matters to relay URLs alone: in all else the target's URL travels in a token,
 * so that this is something to know and nothing that fails.
 */
export function urlsFinding({ path, isCloudflare }: SeenPath): Finding {
  const check = "relay URLs";
  const logs = isCloudflare ? "; keep the worker's invocation logs off, which hold whole URLs" : "";
  if (path === undefined) {
    return { check, ok: true, text: "not looked at: this edge doesn't tell how URLs arrive" };
  }
  if (path === SEEN_PATH) return { check, ok: true, text: `paths arrive as they are sent${logs}` };
  return {
    check,
    ok: true,
    text: `paths are rewritten before they come to the edge: ${SEEN_PATH} arrived as ${path.slice(0, 80)}${logs}`,
    mend: isCloudflare
      ? 'Turn off "Normalize incoming URLs" in the zone, under Rules > Settings, or their targets see other paths.'
      : "Have the proxy before the edge pass paths on as they come, or their targets see other paths.",
  };
}
