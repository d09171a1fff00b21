import { RelayError } from "../protocol/errors.ts";
import type { ProxyGrantClaims } from "../protocol/proxy-grants.ts";
import { isAtOrigin, parseTargetUrl, parseTunnelUrl } from "../protocol/targets.ts";
import type { Client } from "./clients.ts";
import { type AllowList, isNarrowed, type Wanted } from "./judge-target.ts";

/**
 * What a user of a proxy wants to reach.
 *
 * @param target `tcp://host:port`, or an origin with the scheme http; canonical, since its node takes no other
 * @throws RelayError `url_invalid`
 */
export function readProxyTarget(target: string): Wanted {
  if (target.startsWith("tcp:")) {
    const tunnel = parseTunnelUrl(target);
    assertCanonical(`tcp://${tunnel.authority}`, target);
    return { kind: "tunnel", as: "tunnel", target: tunnel };
  }
  const url = parseTargetUrl(target);
  if (url.scheme !== "http") {
    throw new RelayError("url_invalid", "a proxy's target is tcp://host:port or an http:// origin");
  }
  assertCanonical(url.origin, target);
  return { kind: "origin", url };
}

/**
 * What each request to an origin has to lie within, that was admitted.
 *
 * @returns a grant's `within`: for each list that narrows the origin, its entries for it. The client's own narrows nothing where it
 *   is not enforced
 */
export function withinOf(
  wanted: Wanted,
  { allow, mode }: Pick<Client, "allow" | "mode">,
  token: AllowList,
): ProxyGrantClaims["within"] {
  if (wanted.kind !== "origin") return undefined;
  const { url } = wanted;
  const narrowing = [token.allow, ...(mode === "enforce" ? [allow] : [])].filter((list) =>
    isNarrowed(list, url),
  );
  if (narrowing.length === 0) return undefined;
  return narrowing.map((list) => list.filter((one) => isAtOrigin(one, url)).map(({ entry }) => entry));
}

function assertCanonical(canonical: string, target: string): void {
  if (target === canonical) return;
  throw new RelayError("url_invalid", `the target's canonical form is ${canonical}`);
}
