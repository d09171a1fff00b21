import { setImmediate as nextTurn } from "node:timers/promises";
import { RelayError } from "../../protocol/errors.ts";
import type { Revocation, RevocationKind } from "../../protocol/revocations.ts";
import { REVOCATION_ENDS_PER_TURN } from "./limits.ts";
import { RevocationMemory } from "./memory.ts";
import { type Revocable, Revoked } from "./revoked.ts";
import { type OnRevoked, Running, type RunningKind, type Standing } from "./running.ts";

const DETAILS: Readonly<Record<RevocationKind, string>> = {
  client: "the client was removed",
  key: "the client's key that signed for this was removed",
  handle: "the handle was revoked",
  token: "the scope token was revoked",
  rule: "the client's record trusts its workload no more",
};

/** What came of applying revocations. */
export type Ended = Readonly<Record<RunningKind, number>>;

/**
 *   grant ──▶ revoked lately? ──▶ runs ──▶ leaves
 *   edge ──revocations──▶ remembered ▶ kept grants dropped ▶ what runs is ended
 *
 * What a node knows of revocations, and what runs at it under grants that can be revoked. Every door comes by here before it
 * begins anything.
 */
export class Revocations {
  readonly #memory = new RevocationMemory();
  readonly #running = new Running();
  readonly #listeners: ((revoked: Revoked) => void)[] = [];
  readonly #now: () => number;

  /** @param now milliseconds since 1970 */
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** How many are remembered, and how many things run. */
  get sizes(): { readonly remembered: number; readonly running: number } {
    return { remembered: this.#memory.size, running: this.#running.size };
  }

  /** Why a grant opens nothing any more; undefined where it does. */
  refusalOf(grant: Revocable): RelayError | undefined {
    const kind = this.#memory.find(grant, this.#now());
    return kind === undefined ? undefined : new RelayError("revoked", DETAILS[kind]);
  }

  /** @throws RelayError `revoked` */
  assertStands(grant: Revocable): void {
    const refusal = this.refusalOf(grant);
    if (refusal !== undefined) throw refusal;
  }

  /** From now on something runs under a grant that stands. @param onRevoked as of `enter` */
  watch(grant: Revocable, kind: RunningKind, onRevoked: OnRevoked): Standing {
    return this.#running.enter(grant, kind, onRevoked);
  }

  /** Hears of what was revoked before anything is ended by it. */
  onRevoked(listener: (revoked: Revoked) => void): void {
    this.#listeners.push(listener);
  }

  /**
   * Refuses and ends what goes back to what was revoked. Of many things some are ended in each turn, so that what is not meant goes on.
   *
   * @returns how many were ended
   */
  async apply(entries: readonly Revocation[]): Promise<Ended> {
    const ended = { request: 0, stream: 0, connection: 0 };
    if (entries.length === 0) return ended;
    this.#memory.add(entries, this.#now());
    const revoked = new Revoked(entries);
    for (const listener of this.#listeners) listener(revoked);
    let turn = 0;
    for (const runner of this.#running.under(revoked)) {
      if (turn++ >= REVOCATION_ENDS_PER_TURN) {
        await nextTurn();
        turn = 1;
      }
      const why = revoked.find(runner.grant);
      // Meanwhile it may have ended, or gone on under a newer grant.
      if (why === undefined || !this.#running.has(runner)) continue;
      ended[runner.kind]++;
      runner.revoke(new RelayError("revoked", DETAILS[why], { reached: "yes" }));
    }
    return ended;
  }
}
