import type { ClientKey } from "./client-keys.ts";
import type { ClientRecord } from "./clients.ts";

/** A record with its keys' thumbprints. */
export interface Snapshot {
  readonly record: ClientRecord;
  readonly keys: readonly ClientKey[];
}

/** Members whose values are told as they were and as they are; any other that may come is told by its name alone. */
const TOLD: ReadonlySet<string> = new Set(["pool", "limits", "issuers", "bearer", "mode", "quota"]);

/** Members that have a comparison of their own, and the id, which doesn't change. */
const COMPARED: ReadonlySet<string> = new Set(["id", "allow", "keys"]);

/**
 * What is different between two records of one client, for the audit: `allow` and `keys` by what was added and removed (keys by
 * thumbprint, with `exp` where that was set or changed), other members `before` and `after`.
 *
 * @param before undefined of a client that is new
 * @param after undefined of one that is removed
 * @example recordChanges(undefined, { record, keys }) // { allow: { added: ["https://api.bank.com"] }, keys: { added: ["NzbL…"] } }
 */
export function recordChanges(before: Snapshot | undefined, after: Snapshot | undefined): object {
  const allow = listChanges(before?.record.allow ?? [], after?.record.allow ?? []);
  const keys = {
    ...listChanges(thumbprints(before), thumbprints(after)),
    ...expiryChanges(before?.keys ?? [], after?.keys ?? []),
  };
  const [old, current] = [membersOf(before), membersOf(after)];
  const changed = [...new Set([...old.keys(), ...current.keys()])].filter(
    (name) => JSON.stringify(old.get(name)) !== JSON.stringify(current.get(name)),
  );
  const others = changed.filter((name) => !TOLD.has(name));
  return {
    ...(!isEmpty(allow) && { allow }),
    ...(!isEmpty(keys) && { keys }),
    ...Object.fromEntries(
      changed
        .filter((name) => TOLD.has(name))
        .map((name) => [name, { before: old.get(name) ?? null, after: current.get(name) ?? null }]),
    ),
    ...(others.length > 0 && { others }),
  };
}

function listChanges(before: readonly string[], after: readonly string[]): object {
  const added = after.filter((entry) => !before.includes(entry));
  const removed = before.filter((entry) => !after.includes(entry));
  return { ...(added.length > 0 && { added }), ...(removed.length > 0 && { removed }) };
}

function expiryChanges(before: readonly ClientKey[], after: readonly ClientKey[]): object {
  const known = new Map(before.map(({ key, exp }) => [key, exp]));
  const exp = after
    .filter((one) => (known.get(one.key) ?? null) !== one.exp)
    .map((one) => [one.key, one.exp]);
  return exp.length === 0 ? {} : { exp: Object.fromEntries(exp) as Record<string, number | null> };
}

function membersOf(snapshot: Snapshot | undefined): ReadonlyMap<string, unknown> {
  return new Map(Object.entries(snapshot?.record ?? {}).filter(([name]) => !COMPARED.has(name)));
}

function thumbprints(snapshot: Snapshot | undefined): string[] {
  return (snapshot?.keys ?? []).map(({ key }) => key);
}

function isEmpty(value: object): boolean {
  return Object.keys(value).length === 0;
}
