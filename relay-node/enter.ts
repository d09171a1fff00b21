import type { GrantClaims, GrantSource } from "../protocol/grants.ts";
import type { ClientSlot, SlotKind } from "./client-limits.ts";
import type { NodeContext } from "./context.ts";
import type { OnRevoked } from "./revocations/running.ts";

/**
 * Lets something begin under a grant: it takes its place among its client's until it leaves, or until what the grant goes back to is
 * revoked. Every door comes by here before it consumes or dials anything.
 *
 * @param onRevoked ends it: the error says that its target was reached, which it may know better
 * @throws RelayError `revoked`, `concurrency_limited`, `rate_limited`
 */
export function enter(
  { limits, revocations }: Pick<NodeContext, "limits" | "revocations">,
  grant: Pick<GrantClaims, "sub" | "limits" | "iat" | keyof GrantSource>,
  kind: SlotKind,
  onRevoked: OnRevoked,
): ClientSlot {
  revocations.assertStands(grant);
  const slot = limits.enter(grant.sub, grant.limits, grant.iat, kind);
  slot.standing = revocations.watch(grant, kind === "request" ? kind : "stream", onRevoked);
  return slot;
}
