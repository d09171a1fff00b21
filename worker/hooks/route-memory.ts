import { RelayError } from "../../protocol/errors.ts";
import { RegistryCache } from "../registry/cache.ts";
import type { RouteRecord } from "../routes.ts";
import type { Sealing } from "../sealing.ts";
import { loadRoute, type Route } from "./route.ts";

/** A route, or why it can't be used, and the record that it was made of. */
interface Loaded {
  readonly source: string;
  readonly route: Route | RelayError;
}

/** What an isolate remembers of routes, as it does of clients. Secrets are opened once for each change of a record. */
export class RouteMemory {
  readonly #routes = new RegistryCache<Loaded>();

  /**
   * A route by its id.
   * @param ask the registry for its record
   * @param now milliseconds since 1970
   * @throws RelayError `route_unknown`, `route_unreadable`, and what `ask` throws
   */
  async get(
    id: string,
    now: number,
    ask: () => Promise<RouteRecord | null>,
    sealing: () => Promise<Sealing>,
  ): Promise<Route> {
    let known = this.#routes.get(id, now);
    if (known === undefined) {
      const record = await ask();
      known = record === null ? null : await this.#load(record, sealing);
      this.#routes.set(id, known, now);
    }
    if (known === null) throw new RelayError("route_unknown", "there is no such route");
    if (known.route instanceof RelayError) throw known.route;
    return known.route;
  }

  /** Whether this isolate has met the route. */
  has(id: string): boolean {
    return this.#routes.has(id);
  }

  /** A record's version would not tell whether it is the same: a route that was removed and made again counts anew. */
  async #load(record: RouteRecord, sealing: () => Promise<Sealing>): Promise<Loaded> {
    const source = JSON.stringify(record);
    const last = this.#routes.last(record.id);
    if (last?.source === source) return last;
    try {
      return { source, route: await loadRoute(record, await sealing()) };
    } catch (cause) {
      // Remembered as well: providers that come again and again must not wear out the registry.
      const why = `the record of the route ${record.id} can't be read`;
      return { source, route: new RelayError("route_unreadable", why, { cause }) };
    }
  }
}
