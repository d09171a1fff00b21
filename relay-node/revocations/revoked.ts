import type { GrantClaims, GrantSource } from "../../protocol/grants.ts";
import { REVOCATION_GRACE_SECONDS } from "../../protocol/limits.ts";
import type { Revocation, RevocationKind } from "../../protocol/revocations.ts";

/** What of a grant tells whether it was revoked. */
export type Revocable = Pick<GrantClaims, "sub" | "iat" | keyof GrantSource>;

/** Until when a grant may have been signed to fall under a revocation, in seconds since 1970. */
interface Mark {
  readonly kind: RevocationKind;
  readonly until: number;
}

/**
 * Revocations, ready to be compared with grants, by client: what a comparison takes doesn't depend on how many there are.
 *
 * A grant falls under one where it goes back to what was revoked and was signed before the edge's isolates forgot it, with the
 * clocks' leeway. One that was signed later shows that the edge took it up again, as a client that was registered anew.
 */
export class Revoked {
  readonly #clients = new Map<string, Map<string, Mark>>();
  #size = 0;

  constructor(entries: Iterable<Revocation> = []) {
    for (const entry of entries) this.add(entry);
  }

  /** How many things are revoked. */
  get size(): number {
    return this.#size;
  }

  /** Of whom. */
  get clients(): Iterable<string> {
    return this.#clients.keys();
  }

  /** Those that were removed as a whole. */
  get removed(): ReadonlySet<string> {
    const removed = new Set<string>();
    for (const [client, marks] of this.#clients) if (marks.has(nameOf("client", client))) removed.add(client);
    return removed;
  }

  add({ kind, client, id, at }: Revocation): void {
    const marks = this.#clients.get(client) ?? new Map<string, Mark>();
    this.#clients.set(client, marks);
    const name = nameOf(kind, id);
    const until = at + REVOCATION_GRACE_SECONDS;
    const known = marks.get(name);
    if (known === undefined) this.#size++;
    if (known === undefined || known.until < until) marks.set(name, { kind, until });
  }

  /** What of a grant was revoked, if anything was. */
  find({ sub, iat, key, cred, rule }: Revocable): RevocationKind | undefined {
    const marks = this.#clients.get(sub);
    if (marks === undefined) return undefined;
    const names = [
      nameOf("client", sub),
      key !== undefined && nameOf("key", key),
      cred !== undefined && nameOf("handle", cred),
      cred !== undefined && nameOf("token", cred),
      rule !== undefined && nameOf("rule", rule),
    ];
    for (const name of names) {
      const mark = name === false ? undefined : marks.get(name);
      if (mark !== undefined && iat <= mark.until) return mark.kind;
    }
    return undefined;
  }
}

function nameOf(kind: RevocationKind, id: string): string {
  return kind === "client" ? kind : `${kind} ${id}`;
}
