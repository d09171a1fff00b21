import type { JWK } from "jose";
import {
  ISSUER_COOLDOWN_MS,
  ISSUER_DEADLINE_MS,
  ISSUER_FRESH_MS,
  ISSUER_RETRY_MS,
  ISSUER_STALE_MS,
} from "../limits.ts";
import type { IssuerKey } from "./issuer-documents.ts";

/** What to do about a key that a token names. */
export type Look =
  | { readonly kind: "key"; readonly jwk: JWK }
  /** Ask the issuer, after `begin`. */
  | { readonly kind: "ask" }
  /** Another request asks it just now. */
  | { readonly kind: "wait" }
  /** The issuer has no such key, as far as it is asked. */
  | { readonly kind: "none" }
  /** It can't be said: the issuer does not answer. */
  | { readonly kind: "unavailable"; readonly retryAfterMs: number };

/** Both documents, and what a request needs to be told of it. */
const ASKING_MS = 2 * ISSUER_DEADLINE_MS + 1_000;

/**
 * What an isolate knows of one issuer's keys, and when the issuer is asked: never more often than once a cooldown, whatever
 * keys are named, and by one request at a time. Times are milliseconds since 1970.
 */
export class KeyMemory {
  #keys: ReadonlyMap<string, JWK> = new Map();
  #learntAt = -Infinity;
  #notBefore = -Infinity;
  #askingUntil = -Infinity;
  #failed = false;
  /** Keys that were imported. */
  readonly imported = new WeakMap<JWK, IssuerKey>();

  look(kid: string, now: number): Look {
    const age = now - this.#learntAt;
    const jwk = age < ISSUER_STALE_MS ? this.#keys.get(kid) : undefined;
    const isAsking = now < this.#askingUntil;
    const mayAsk = !isAsking && now >= this.#notBefore;
    if (jwk !== undefined && (age < ISSUER_FRESH_MS || !mayAsk)) return { kind: "key", jwk };
    if (isAsking) return { kind: "wait" };
    if (mayAsk) return { kind: "ask" };
    return this.#failed ? { kind: "unavailable", retryAfterMs: this.#notBefore - now } : { kind: "none" };
  }

  /** The issuer is asked from now on. A request that is ended meanwhile says no more: then it has failed when its time is over. */
  begin(now: number): void {
    this.#failed = true;
    this.#askingUntil = now + ASKING_MS;
    this.#notBefore = now + ASKING_MS;
  }

  learn(keys: ReadonlyMap<string, JWK>, now: number): void {
    this.#keys = keys;
    this.#learntAt = now;
    this.#end(false, now + ISSUER_COOLDOWN_MS);
  }

  fail(now: number): void {
    this.#end(true, now + ISSUER_RETRY_MS);
  }

  #end(failed: boolean, notBefore: number): void {
    this.#failed = failed;
    this.#askingUntil = -Infinity;
    this.#notBefore = notBefore;
  }
}
