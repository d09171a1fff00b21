import { Counter, type Registry } from "prom-client";
import { SPARE_ROUTES_MAX, SPARES_EACH } from "./limits.ts";

/** How many connections may be made ahead. */
export interface SpareBounds {
  /** Spares of all clients that stand or are being made. 0: none is made. */
  readonly inAll: number;
  /** Of one client. */
  readonly perClient: number;
  /** A target that was asked for twice within this time is one that will be asked again. */
  readonly seconds: number;
}

/** What was asked for lately. */
interface Seen<Route> {
  readonly route: Route;
  at: number;
  /** Whether it was asked for before, within the time that counts. */
  isRepeated: boolean;
  /** How many spares may still be made until it is asked for again. */
  left: number;
}

/** What became of spares. */
export const SPARE_OUTCOMES = ["made", "failed", "used", "unused"] as const;
export type SpareOutcome = (typeof SPARE_OUTCOMES)[number];

/**
 * Says which route a connection is to be made for ahead. A target that closes its connections, or closed the last one while nobody
 * looked, would cost its next caller a handshake otherwise.
 */
export class Spares<Route extends { readonly clientId: string }> {
  readonly #bounds: SpareBounds;
  readonly #routeOf: (route: Route) => Route;
  readonly #now: () => number;
  /** By key, in the order of their last request. */
  readonly #seen = new Map<string, Seen<Route>>();
  readonly #byClient = new Map<string, number>();
  #inAll = 0;
  readonly #counts: Record<SpareOutcome, number> = { made: 0, failed: 0, used: 0, unused: 0 };

  /**
   * @param routeOf what is to be remembered of a route
   * @param now milliseconds, from any origin that does not jump
   */
  constructor(
    bounds: SpareBounds,
    routeOf: (route: Route) => Route,
    now: () => number = () => performance.now(),
  ) {
    this.#bounds = bounds;
    this.#routeOf = routeOf;
    this.#now = now;
  }

  /** Spares that stand or are being made. */
  get size(): number {
    return this.#inAll;
  }

  /** A request goes by a route. */
  asked(key: string, route: Route): void {
    if (this.#bounds.inAll === 0) return;
    const now = this.#now();
    const seen = this.#seen.get(key);
    if (seen !== undefined) {
      seen.isRepeated = this.#isLately(seen, now);
      seen.at = now;
      seen.left = SPARES_EACH;
      return;
    }
    // The one that was seen first goes: a Map keeps the order of insertion.
    if (this.#seen.size >= SPARE_ROUTES_MAX) this.#seen.delete(this.#seen.keys().next().value!);
    this.#seen.set(key, { route: this.#routeOf(route), at: now, isRepeated: false, left: SPARES_EACH });
  }

  /**
   * No connection stands any more by which a route could be gone.
   * @returns the route where one is to be made for it: it counts as a spare then until `ended`
   */
  lost(key: string): Route | undefined {
    const seen = this.#seen.get(key);
    if (seen === undefined) return undefined;
    if (!this.#isLately(seen, this.#now())) {
      this.#seen.delete(key);
      return undefined;
    }
    const { route } = seen;
    const ofClient = this.#byClient.get(route.clientId) ?? 0;
    const { inAll, perClient } = this.#bounds;
    if (!seen.isRepeated || seen.left === 0 || this.#inAll >= inAll || ofClient >= perClient) {
      return undefined;
    }
    seen.left -= 1;
    this.#inAll += 1;
    this.#byClient.set(route.clientId, ofClient + 1);
    return route;
  }

  /** Whether a route that a spare was begun for is still one to go. */
  isWanted(key: string, route: Route): boolean {
    return this.#seen.get(key)?.route === route;
  }

  made(): void {
    this.#counts.made += 1;
  }

  /** A spare is none any more: its request has come, it was closed before, or it could not be made. */
  ended(clientId: string, outcome: Exclude<SpareOutcome, "made">): void {
    this.#counts[outcome] += 1;
    this.#inAll -= 1;
    const left = this.#byClient.get(clientId)! - 1;
    if (left === 0) this.#byClient.delete(clientId);
    else this.#byClient.set(clientId, left);
  }

  /** Nothing is made ahead for these clients until they ask again. */
  forget(clients: ReadonlySet<string>): void {
    for (const [key, { route }] of this.#seen) if (clients.has(route.clientId)) this.#seen.delete(key);
  }

  /** Nothing is made ahead until it is asked for again. */
  forgetAll(): void {
    this.#seen.clear();
  }

  /** What Prometheus may read of it. */
  measure(registry: Registry): void {
    const counts = this.#counts;
    const counter: Counter = new Counter({
      name: "holdfast_spare_connections_total",
      help: "Connections to targets that were made ahead: made, or failed, and of those made: used, or closed unused",
      labelNames: ["outcome"],
      registers: [registry],
      collect: () => {
        counter.reset();
        for (const outcome of SPARE_OUTCOMES) counter.inc({ outcome }, counts[outcome]);
      },
    });
  }

  #isLately({ at }: Seen<Route>, now: number): boolean {
    return now - at <= this.#bounds.seconds * 1_000;
  }
}
