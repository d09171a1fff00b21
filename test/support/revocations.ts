import type { Revocation, RevocationKind } from "../../protocol/revocations.ts";
import { newRequestId } from "../../protocol/tokens.ts";

/** Thumbprints of two keys. */
export const KEYS = [
  "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
  "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
] as const;

/** What grants of these tests go back to: one client, two keys, and a credential each. */
export const SOURCE = { sub: "app", key: KEYS[0], cred: newRequestId(), rule: KEYS[1] } as const;

const now = () => Math.floor(Date.now() / 1_000);

let seq = 0;

/** A revocation, of now where nothing else is said. */
export function revocation(
  kind: RevocationKind,
  id: string,
  { client = "app", at = now() }: { readonly client?: string; readonly at?: number } = {},
): Revocation {
  seq += 1;
  return { seq, at, kind, client, id };
}

/** What takes a grant of `SOURCE` with it, one of each kind. */
export const TAKES: readonly (readonly [kind: RevocationKind, id: string])[] = [
  ["client", SOURCE.sub],
  ["key", SOURCE.key],
  ["handle", SOURCE.cred],
  ["token", SOURCE.cred],
  ["rule", SOURCE.rule],
];
