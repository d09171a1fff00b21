import { RelayError } from "../protocol/errors.ts";
import type { ProxyGrantClaims } from "../protocol/proxy-grants.ts";
import {
  type AllowedTarget,
  isAtOrigin,
  isTunnelAllowed,
  parseTargetUrl,
  parseTunnelUrl,
  type TunnelTarget,
} from "../protocol/targets.ts";

/** A list of targets, and whose it is. */
interface AllowList {
  readonly whose: string;
  readonly allow: readonly AllowedTarget[];
}

/**
 * Whether a user of a proxy may go to a target, and what each request there has to lie within. A target that is limited to
 * paths or methods opens no tunnel, since inside one nobody sees either.
 *
 * @param target `tcp://host:port`, or an origin with the scheme http; canonical, since its node takes no other
 * @param lists each has to admit the target: the token's, and its client's
 * @returns a grant's `within`: for each list that narrows the origin, its entries for it
 * @throws RelayError `url_invalid`, `target_not_allowed`
 */
export function permitProxy(target: string, lists: readonly AllowList[]): ProxyGrantClaims["within"] {
  if (target.startsWith("tcp:")) {
    const tunnel = parseTunnelUrl(target);
    assertCanonical(`tcp://${tunnel.authority}`, target);
    for (const list of lists) assertTunnel(list, tunnel);
    return undefined;
  }
  const url = parseTargetUrl(target);
  if (url.scheme !== "http") {
    throw new RelayError("url_invalid", "a proxy's target is tcp://host:port or an http:// origin");
  }
  assertCanonical(url.origin, target);
  const within = lists.map(({ whose, allow }) => {
    const entries = allow.filter((entry) => isAtOrigin(entry, url));
    if (entries.length > 0) return entries;
    throw new RelayError("target_not_allowed", `${whose} may send nothing to ${url.origin}`);
  });
  const narrowing = within.filter((entries) => !entries.some(isUnlimited));
  return narrowing.length === 0 ? undefined : narrowing.map((entries) => entries.map(({ entry }) => entry));
}

function assertTunnel({ whose, allow }: AllowList, { host, port, authority }: TunnelTarget): void {
  if (isTunnelAllowed(allow, { host, port })) return;
  const at = (scheme: "https" | "http") => allow.some((entry) => isAtOrigin(entry, { scheme, host, port }));
  let why = "";
  if (at("https")) why = ": it is limited to paths or methods there, which nobody sees inside a tunnel";
  else if (at("http")) why = `: an http:// target opens none, tcp://${authority} does`;
  throw new RelayError("target_not_allowed", `${whose} may open no tunnel to ${authority}${why}`);
}

function isUnlimited({ path, methods }: AllowedTarget): boolean {
  return path === undefined && methods === undefined;
}

function assertCanonical(canonical: string, target: string): void {
  if (target === canonical) return;
  throw new RelayError("url_invalid", `the target's canonical form is ${canonical}`);
}
