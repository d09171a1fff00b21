import { DELIVERY_BODY_MAX_BYTES } from "../../protocol/limits.ts";
import { parseTargetUrl, type TargetUrl } from "../../protocol/targets.ts";
import { ROUTE_REQUESTS_PER_SECOND } from "../limits.ts";
import type { RouteRecord, VerifierRecord } from "../routes.ts";
import type { Sealing } from "../sealing.ts";
import type { Verifier } from "./check.ts";
import { type KeyRule, parseKeyRule } from "./key-rule.ts";
import { PROVIDER_IDS } from "./provider-ids.ts";
import { keyOf, secretPlace } from "./secrets.ts";
import { verifierOf } from "./verifiers/index.ts";

/** A route ready to be called: its secrets open, its rules read. */
export interface Route {
  readonly id: string;
  readonly client: string;
  readonly target: TargetUrl;
  readonly type: VerifierRecord["type"];
  readonly verify: Verifier;
  /** What each attempt is signed with, by Standard Webhooks; none where it isn't signed. */
  readonly sign: readonly Uint8Array<ArrayBuffer>[];
  readonly dedupe: KeyRule;
  readonly order: KeyRule;
  readonly bodyBytes: number;
  readonly requestsPerSecond: number;
}

/**
 * Makes a stored record usable.
 * @throws Error where anything of it can't be read; what it says holds no secret
 */
export async function loadRoute(record: RouteRecord, sealing: Sealing): Promise<Route> {
  const { id, client, verifier, sign, dedupe, order = "none", limits = {} } = record;
  const keys = verifier.type === "none" ? [] : await keysOf(verifier, id, sealing);
  return {
    id,
    client,
    target: parseTargetUrl(record.target),
    type: verifier.type,
    verify: verifierOf(verifier, keys),
    sign: sign === undefined ? [] : await keysOf({ type: "standard-webhooks", ...sign }, id, sealing),
    dedupe:
      dedupe === undefined || dedupe === "provider"
        ? (PROVIDER_IDS[verifier.type] ?? { from: "none" })
        : ruleOf(dedupe),
    order: order === "all" ? { from: "all" } : ruleOf(order),
    bodyBytes: limits.bodyBytes ?? DELIVERY_BODY_MAX_BYTES,
    requestsPerSecond: limits.requestsPerSecond ?? ROUTE_REQUESTS_PER_SECOND,
  };
}

function keysOf(
  { type, secrets }: Exclude<VerifierRecord, { type: "none" }>,
  id: string,
  sealing: Sealing,
): Promise<Uint8Array<ArrayBuffer>[]> {
  return Promise.all(
    secrets.map(async ({ sealed }) => keyOf(type, await sealing.open(sealed, secretPlace(id)))),
  );
}

function ruleOf(text: string): KeyRule {
  const rule: KeyRule | undefined = text === "none" ? { from: "none" } : parseKeyRule(text);
  if (rule === undefined) throw new Error(`${text} is no rule`);
  return rule;
}
