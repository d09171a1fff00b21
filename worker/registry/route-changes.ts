import type { RouteRecord, SealedSecret } from "../routes.ts";

/**
 * What is different between two records of one route, for the audit: each member that changed as it was and as it is, of secrets
 * their prints alone.
 *
 * @param before undefined of a route that is new
 * @param after undefined of one that is removed
 * @example routeChanges(undefined, route) // { target: { before: null, after: "https://internal.example.com/hooks" } … }
 */
export function routeChanges(before: RouteRecord | undefined, after: RouteRecord | undefined): object {
  const [old, current] = [membersOf(before), membersOf(after)];
  const changed = [...new Set([...old.keys(), ...current.keys()])].filter(
    (name) => JSON.stringify(old.get(name)) !== JSON.stringify(current.get(name)),
  );
  return Object.fromEntries(
    changed.map((name) => [name, { before: old.get(name) ?? null, after: current.get(name) ?? null }]),
  );
}

function membersOf({ id: _id, ...record }: Partial<RouteRecord> = {}): ReadonlyMap<string, unknown> {
  const { verifier, sign } = record;
  return new Map(
    Object.entries({
      ...record,
      ...(verifier !== undefined &&
        "secrets" in verifier && { verifier: { ...verifier, secrets: printsOf(verifier.secrets) } }),
      ...(sign !== undefined && { sign: { ...sign, secrets: printsOf(sign.secrets) } }),
    }),
  );
}

function printsOf(secrets: readonly SealedSecret[]): readonly string[] {
  return secrets.map(({ print }) => print);
}
