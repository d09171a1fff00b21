import { RelayError } from "../protocol/errors.ts";
import type { SeedListName } from "../protocol/seed-list.ts";
import {
  type AllowedTarget,
  isAllowed,
  isAtOrigin,
  isTunnelAllowed,
  type TargetUrl,
  type TunnelTarget,
} from "../protocol/targets.ts";
import type { Client } from "./clients.ts";
import { mayAskFor } from "./seeds.ts";

/** What somebody asks to reach. */
export type Wanted =
  /** One request. */
  | { readonly kind: "request"; readonly method: string; readonly url: TargetUrl }
  /** A host and port, by whatever is spoken there: `as` is what the door calls it. */
  | { readonly kind: "tunnel"; readonly as: "stream" | "tunnel"; readonly target: TunnelTarget }
  /** An origin, for requests that a node judges one by one. */
  | { readonly kind: "origin"; readonly url: TargetUrl }
  /** The hosts that a name stands for. Each is judged once more when it is found, and when it is dialled. */
  | { readonly kind: "seeds"; readonly name: SeedListName };

/** A list of targets, and whose it is. */
export interface AllowList {
  readonly whose: string;
  readonly allow: readonly AllowedTarget[];
}

/** What was let through. */
export interface Judgement {
  /** The client's own list refuses it, or a part of it, and would if it were enforced. */
  readonly wouldDeny: boolean;
}

/**
 * The one place where lists of targets are judged: a token's own, always, and the client's, which in the mode `report` refuses
 * nothing.
 *
 * @throws RelayError `target_not_allowed`, naming the list that is in the way
 */
export function judgeTarget(
  wanted: Wanted,
  { id, allow, mode }: Pick<Client, "id" | "allow" | "mode">,
  token?: AllowList,
): Judgement {
  for (const list of [...(token === undefined ? [] : [token]), { whose: id, allow }]) {
    const why = refusal(wanted, list);
    if (why === undefined) continue;
    if (list === token || mode === "enforce") throw new RelayError("target_not_allowed", why);
    return { wouldDeny: true };
  }
  // Which of an origin's requests a narrower list would refuse, its node alone could tell.
  const isPart = mode === "report" && wanted.kind === "origin" && isNarrowed(allow, wanted.url);
  return { wouldDeny: isPart };
}

/** Whether a client's own list lets it reach something. */
export function mayReach(
  wanted: Wanted,
  { id, allow, mode }: Pick<Client, "id" | "allow" | "mode">,
): boolean {
  return mode === "report" || refusal(wanted, { whose: id, allow }) === undefined;
}

/** Why a list does not admit what is wanted. */
function refusal(wanted: Wanted, { whose, allow }: AllowList): string | undefined {
  switch (wanted.kind) {
    case "request": {
      const { method, url } = wanted;
      return isAllowed(allow, method, url) ? undefined : `${whose} may not send ${method} to ${url.origin}`;
    }
    case "tunnel": {
      const { as, target } = wanted;
      if (isTunnelAllowed(allow, target)) return undefined;
      return `${whose} may open no ${as} to ${target.authority}${hintOf(allow, target)}`;
    }
    case "origin": {
      const { url } = wanted;
      if (allow.some((entry) => isAtOrigin(entry, url))) return undefined;
      return `${whose} may send nothing to ${url.origin}`;
    }
    case "seeds": {
      const { name } = wanted;
      return mayAskFor(name, allow) ? undefined : `${whose} may open no stream to any host of ${name.parent}`;
    }
  }
}

/** What an entry for the same place lacks. */
function hintOf(allow: readonly AllowedTarget[], { host, port, authority }: TunnelTarget): string {
  const at = (scheme: "https" | "http") => allow.some((entry) => isAtOrigin(entry, { scheme, host, port }));
  if (at("https")) return ": it is limited to paths or methods there, which nobody sees inside a tunnel";
  return at("http") ? `: an http:// target opens none, tcp://${authority} does` : "";
}

/** Whether every entry for an origin limits it to paths or methods. */
export function isNarrowed(allow: readonly AllowedTarget[], url: TargetUrl): boolean {
  return allow
    .filter((entry) => isAtOrigin(entry, url))
    .every(({ path, methods }) => path !== undefined || methods !== undefined);
}
