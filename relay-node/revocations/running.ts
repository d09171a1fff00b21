import type { RelayError } from "../../protocol/errors.ts";
import { type Member, Members } from "../members.ts";
import type { Revocable, Revoked } from "./revoked.ts";

/** What can end by a revocation: a request, a stream (also one that is being opened), or a user's connection that rests. */
export type RunningKind = "request" | "stream" | "connection";

/** Ends something whose grant was revoked. */
export type OnRevoked = (error: RelayError) => void;

/** The place of what runs under one grant. */
export interface Standing {
  /** Somebody else ends it from now on: at once, where the grant was revoked meanwhile. */
  handOver(onRevoked: OnRevoked): void;
  /** It goes on under another grant. */
  renew(grant: Revocable): void;
  /** It runs no longer. */
  leave(): void;
}

/** One that runs. */
export interface Runner {
  readonly kind: RunningKind;
  readonly grant: Revocable;
  /** Ends it, once; it has left then. */
  revoke(error: RelayError): void;
}

interface Entry extends Runner {
  grant: Revocable;
  place: Member<Entry> | undefined;
}

/** What runs at a node, by client: what was revoked of one client is compared with what runs for it, and with nothing else. */
export class Running {
  readonly #clients = new Map<string, Members<Entry>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  enter(grant: Revocable, kind: RunningKind, onRevoked: OnRevoked): Standing {
    let end = onRevoked;
    let revoked: RelayError | undefined;
    const runner: Entry = {
      kind,
      grant,
      place: undefined,
      revoke: (error) => {
        if (!this.#leave(runner)) return;
        revoked = error;
        end(error);
      },
    };
    this.#add(runner);
    return {
      handOver: (next) => {
        end = next;
        if (revoked !== undefined) end(revoked);
      },
      renew: (newer) => {
        if (!this.#leave(runner)) return;
        runner.grant = newer;
        this.#add(runner);
      },
      leave: () => void this.#leave(runner),
    };
  }

  /** Whether it has not left. */
  has(runner: Runner): boolean {
    return (runner as Entry).place !== undefined;
  }

  /** Those that fall under what was revoked. */
  under(revoked: Revoked): Runner[] {
    const found: Runner[] = [];
    for (const client of revoked.clients) {
      for (const runner of this.#clients.get(client) ?? []) {
        if (revoked.find(runner.grant) !== undefined) found.push(runner);
      }
    }
    return found;
  }

  #add(runner: Entry): void {
    const { sub } = runner.grant;
    let runners = this.#clients.get(sub);
    if (runners === undefined) this.#clients.set(sub, (runners = new Members<Entry>()));
    runner.place = runners.enter(runner);
    this.#size++;
  }

  /** False where it had left before. */
  #leave(runner: Entry): boolean {
    const { place, grant } = runner;
    if (place === undefined) return false;
    runner.place = undefined;
    const runners = this.#clients.get(grant.sub)!;
    place.leave();
    this.#size--;
    if (runners.size === 0) this.#clients.delete(grant.sub);
    return true;
  }
}
