import { CLOCK_LEEWAY_SECONDS } from "../../protocol/limits.ts";
import type { ProxyGrantClaims } from "../../protocol/proxy-grants.ts";
import {
  PROXY_EDGE_REST_MS,
  PROXY_GRANT_FRESH_MS,
  PROXY_GRANT_REFRESH_MS,
  PROXY_GRANTS_MAX,
  PROXY_GRANTS_PER_CLIENT,
} from "./limits.ts";
import type { Revoked } from "../revocations/revoked.ts";
import type { ProxyAdmission } from "./authorizer.ts";

/**
 * What a grant is good for now:
 *
 * - `fresh`: used as it is.
 * - `aging`: used, and asked for anew in the background.
 * - `stale`: asked for anew before it is used; where that can't be done, it is alive and goes on.
 * - `resting`: as `stale`, but it was asked for a moment ago in vain: used as it is.
 * - `dead`: not used.
 */
export type Standing = "fresh" | "aging" | "stale" | "resting" | "dead";

/** A grant as it is kept. Times are milliseconds since 1970. */
export interface KeptGrant {
  readonly grant: Pick<ProxyGrantClaims, "iat" | "exp">;
  /** When the edge was asked for it: what was revoked before is not in it. */
  readonly askedAt: number;
  /** When it was asked for anew in vain. */
  readonly vainAt?: number | undefined;
}

/** Judges a grant. A clock that was set back makes it stale, or dead where it comes from the future. */
export function standingOf({ grant, askedAt, vainAt }: KeptGrant, now: number): Standing {
  if (now >= grant.exp * 1_000 || now < (grant.iat - CLOCK_LEEWAY_SECONDS) * 1_000) return "dead";
  const age = now - askedAt;
  const isYoung = (limit: number) => age >= 0 && age < limit;
  if (isYoung(PROXY_GRANT_REFRESH_MS)) return "fresh";
  if (vainAt !== undefined && now >= vainAt && now < vainAt + PROXY_EDGE_REST_MS) return "resting";
  return isYoung(PROXY_GRANT_FRESH_MS) ? "aging" : "stale";
}

/** A grant that is alive. */
export interface FoundGrant {
  readonly standing: Exclude<Standing, "dead">;
  readonly admission: ProxyAdmission;
}

interface Kept {
  readonly credential: string;
  readonly target: string;
  readonly admission: ProxyAdmission;
  readonly askedAt: number;
  vainAt?: number;
}

/**
 * The grants of a node's proxy door, by credential and target. The one that was used least recently goes first, of a client with many
 * its own.
 */
export class GrantCache {
  readonly #max: number;
  readonly #maxEach: number;
  // A Map keeps the order of insertion: what is used moves to its end.
  readonly #grants = new Map<string, Kept>();
  /** The one that was used or put last: it is at the end of each order. */
  #last = "";
  /** The keys of each credential's grants. */
  readonly #byCredential = new Map<string, Set<string>>();
  /** And of each client's, in the order in which they were used. */
  readonly #byClient = new Map<string, Set<string>>();

  /** @param maxEach of one client's */
  constructor(max: number = PROXY_GRANTS_MAX, maxEach: number = PROXY_GRANTS_PER_CLIENT) {
    this.#max = max;
    this.#maxEach = maxEach;
  }

  get size(): number {
    return this.#grants.size;
  }

  /** @param credential its id, as `checkCredential` makes it */
  find(credential: string, target: string, now: number): FoundGrant | undefined {
    const key = grantKey(credential, target);
    const kept = this.#grants.get(key);
    if (kept === undefined) return undefined;
    const { admission, askedAt, vainAt } = kept;
    const standing = standingOf({ grant: admission.grant, askedAt, vainAt }, now);
    if (standing === "dead") {
      this.#drop(key, kept);
      return undefined;
    }
    // Many tunnels in a row are one user's to one target.
    if (key !== this.#last) {
      this.#last = key;
      this.#grants.delete(key);
      this.#grants.set(key, kept);
      const own = this.#byClient.get(admission.grant.sub)!;
      own.delete(key);
      own.add(key);
    }
    return { standing, admission };
  }

  /** @param askedAt when its question left */
  put(credential: string, admission: ProxyAdmission, askedAt: number): void {
    const { target, sub } = admission.grant;
    this.drop(credential, target);
    const key = grantKey(credential, target);
    this.#grants.set(key, { credential, target, admission, askedAt });
    this.#last = key;
    const keys = this.#byCredential.get(credential) ?? new Set();
    this.#byCredential.set(credential, keys.add(key));
    const own = this.#byClient.get(sub) ?? new Set();
    this.#byClient.set(sub, own.add(key));
    const [first] = own.size > this.#maxEach ? own : this.#grants.size > this.#max ? this.#grants.keys() : [];
    if (first !== undefined) this.#drop(first, this.#grants.get(first)!);
  }

  /** It was asked for anew and nobody could tell: it is not for a while. */
  vain(credential: string, target: string, now: number): void {
    const kept = this.#grants.get(grantKey(credential, target));
    if (kept !== undefined) kept.vainAt = now;
  }

  drop(credential: string, target: string): void {
    const key = grantKey(credential, target);
    const kept = this.#grants.get(key);
    if (kept !== undefined) this.#drop(key, kept);
  }

  /** Drops the grants of a credential for whichever target. */
  dropAll(credential: string): void {
    for (const key of this.#byCredential.get(credential) ?? []) this.#drop(key, this.#grants.get(key)!);
  }

  /** Drops what was granted to whatever was revoked. */
  dropRevoked(revoked: Revoked): void {
    for (const client of revoked.clients) {
      for (const key of this.#byClient.get(client) ?? []) {
        const kept = this.#grants.get(key)!;
        if (revoked.find(kept.admission.grant) !== undefined) this.#drop(key, kept);
      }
    }
  }

  /** Drops what is dead. */
  sweep(now: number): void {
    for (const [key, kept] of this.#grants) {
      const { admission, askedAt } = kept;
      if (standingOf({ grant: admission.grant, askedAt }, now) === "dead") this.#drop(key, kept);
    }
  }

  #drop(key: string, { credential, admission }: Kept): void {
    this.#grants.delete(key);
    forget(this.#byCredential, credential, key);
    forget(this.#byClient, admission.grant.sub, key);
  }
}

function forget(index: Map<string, Set<string>>, name: string, key: string): void {
  const keys = index.get(name);
  keys?.delete(key);
  if (keys?.size === 0) index.delete(name);
}

/** One text for a credential and a target; neither holds a space. */
export function grantKey(credential: string, target: string): string {
  return `${credential} ${target}`;
}
