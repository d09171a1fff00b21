import { RELAY_URL_PREFIX } from "../../protocol/relay-urls.ts";
import type { TargetUrl } from "../../protocol/targets.ts";
import type { FieldEdit } from "../answers.ts";
import { cookieInside } from "./cookies.ts";

/** One request by a relay URL: where it came to, and where it goes. */
export interface Place {
  /** The edge's own origin. */
  readonly edge: string;
  readonly credential: string;
  readonly target: TargetUrl;
}

/**
 * Which of a caller's fields go on to the target: all but those that tell of the edge, `Referer` and `Origin`, and whatever holds
 * the credential itself, which is nobody's but the caller's.
 *
 * @param url the request's own, whose host may be another name of the edge's
 */
export function keptByRelayUrl(
  { edge, credential }: Pick<Place, "edge" | "credential">,
  url: string,
): (name: string, value: string) => boolean {
  const hosts = new Set([hostOf(edge), hostOf(url)]);
  return (name, value) => {
    if (value.includes(credential)) return false;
    return (name !== "referer" && name !== "origin") || !hosts.has(hostOf(value));
  };
}

function hostOf(url: string): string | undefined {
  return URL.parse(url)?.host;
}

/** What a target says about its origin would be taken for the edge's. */
const ABOUT_THE_ORIGIN = new Set([
  "alt-svc",
  "clear-site-data",
  "service-worker-allowed",
  "strict-transport-security",
]);

/** What becomes of the target's fields, so that a caller stays behind its relay URL, and does nothing to others of the edge's. */
export function editByRelayUrl({ edge, credential, target }: Place): FieldEdit {
  const prefix = `${RELAY_URL_PREFIX}${credential}`;
  const base = `${target.origin}${target.path}`;
  return (name, value) => {
    if (ABOUT_THE_ORIGIN.has(name)) return undefined;
    if (name === "location" || name === "content-location") {
      const url = URL.parse(value, base);
      // What can't be parsed leads nowhere.
      if (url?.origin !== target.origin) return value;
      return `${edge}${prefix}${url.pathname}${url.search}${url.hash}`;
    }
    return name === "set-cookie" ? cookieInside(value, target, prefix) : value;
  };
}

/** Of a document that gets into a browser all the same: it runs nothing, loads nothing, and tells nobody its address. */
export const SANDBOX = [
  ["Content-Security-Policy", "sandbox; default-src 'none'; frame-ancestors 'none'"],
  ["Referrer-Policy", "no-referrer"],
] as const;
