import type { Revocation, RevocationKind } from "../../protocol/revocations.ts";
import { REVOCATIONS_MEMORY_MS } from "./limits.ts";
import { type Revocable, Revoked } from "./revoked.ts";

/**
 * What was revoked lately, for grants that come after their revocation did: an isolate of the edge may not have heard of it yet.
 * Each is remembered for at least `REVOCATIONS_MEMORY_MS`, and no more than twice as long. Times are milliseconds since 1970.
 */
export class RevocationMemory {
  #young = new Revoked();
  #old = new Revoked();
  #turnsAt = 0;

  /** How many are remembered. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  add(entries: Iterable<Revocation>, now: number): void {
    this.#turn(now);
    for (const entry of entries) {
      // What is older meets no grant any more.
      if (entry.at * 1_000 > now - REVOCATIONS_MEMORY_MS) this.#young.add(entry);
    }
  }

  find(grant: Revocable, now: number): RevocationKind | undefined {
    this.#turn(now);
    return this.#young.find(grant) ?? this.#old.find(grant);
  }

  #turn(now: number): void {
    const isAhead = this.#turnsAt > now + REVOCATIONS_MEMORY_MS;
    if (now < this.#turnsAt && !isAhead) return;
    // Longer ago than one life of its own, even the young are old.
    this.#old = now >= this.#turnsAt + REVOCATIONS_MEMORY_MS ? new Revoked() : this.#young;
    this.#young = new Revoked();
    this.#turnsAt = now + REVOCATIONS_MEMORY_MS;
  }
}
