import type { Owner, Pause } from "../../protocol/deliveries.ts";
import type { AuditedChange, Author } from "../audit.ts";
import type { DeliveryOwner, StorePlace } from "../deliveries/owner.ts";
import type { RouteRecord } from "../routes.ts";
import type { AuditTable } from "./audit-table.ts";
import type { ClientsTable } from "./clients-table.ts";
import { PausesTable } from "./pauses-table.ts";
import { routeChanges } from "./route-changes.ts";
import { RoutesTable } from "./routes-table.ts";
import type { Sql } from "./sql.ts";
import { StoresTable } from "./stores-table.ts";
import type { Expected, Versioned } from "./versions.ts";

/** What storing a route comes to: `pause` where its deliveries are not made until somebody resumes them. */
export type PutRoute =
  | { readonly version: number; readonly isNew: boolean; readonly pause: Pause | null }
  | "version_conflict"
  | "client_unknown";

/** A route as it is listed. */
export interface ListedRoute extends Versioned<RouteRecord> {
  readonly pause: Pause | null;
}

/** What an operator has to know of an owner. */
export interface OwnerState {
  /** Whether the route or the client is registered. */
  readonly isThere: boolean;
  /** By whom it delivers; null of a route that is gone, or can't be read. */
  readonly client: string | null;
  readonly isClientThere: boolean;
  readonly pause: Pause | null;
  /** Those in use. */
  readonly stores: readonly StorePlace[];
}

/** Who writes where the edge has a reason of its own: no operator's key has this id. */
const EDGE = "(edge)";

/** Who has deliveries: routes, what pauses them and clients, and which stores are in use. Each change belongs into a transaction. */
export class DeliveryOwners {
  readonly #clients: ClientsTable;
  readonly #audit: AuditTable;
  readonly #routes: RoutesTable;
  readonly #pauses: PausesTable;
  readonly #stores: StoresTable;

  constructor(sql: Sql, { clients, audit }: { readonly clients: ClientsTable; readonly audit: AuditTable }) {
    this.#clients = clients;
    this.#audit = audit;
    this.#routes = new RoutesTable(sql);
    this.#pauses = new PausesTable(sql);
    this.#stores = new StoresTable(sql);
  }

  route(id: string): Versioned<RouteRecord> | null {
    return this.#routes.get(id);
  }

  /** At most so many routes, by their ids' order, of ids behind the given one. */
  listRoutes(after: string, limit: number): ListedRoute[] {
    return this.#routes
      .list(after, limit)
      .map(({ version, record }) => ({ version, record, pause: this.#pauses.of(`route:${record.id}`) }));
  }

  get stores(): StoresTable {
    return this.#stores;
  }

  /** What a store has to know of its owner. */
  of(owner: Owner): DeliveryOwner {
    const { kind, id } = partsOf(owner);
    const route = kind === "route" ? this.#routes.get(id) : null;
    return {
      route,
      isThere: kind === "route" ? route !== null : this.#clients.versionOf(id) !== undefined,
      pause: this.#pauses.of(owner),
    };
  }

  /** What an operator has to know of an owner. */
  state(owner: Owner): OwnerState {
    const { kind, id } = partsOf(owner);
    const isThere = (kind === "route" ? this.#routes : this.#clients).versionOf(id) !== undefined;
    const client = kind === "client" ? id : this.#readable(id)?.client;
    return {
      isThere,
      client: client ?? null,
      isClientThere: client !== undefined && this.#clients.versionOf(client) !== undefined,
      pause: this.#pauses.of(owner),
      stores: this.#stores.of(owner),
    };
  }

  /** Stores a route, whose client has to be there. Of a name that was removed it stays paused. */
  putRoute(record: RouteRecord, expected: Expected, author: Author): PutRoute {
    const { id, client } = record;
    if (this.#clients.versionOf(client) === undefined) return "client_unknown";
    const isNew = this.#routes.versionOf(id) === undefined;
    const before = this.#readable(id);
    const version = this.#routes.put(record, expected);
    if (version === null) return "version_conflict";
    this.#audit.add(author, {
      action: isNew ? "route.add" : "route.update",
      client,
      subject: id,
      version,
      detail: routeChanges(before, record),
    });
    return { version, isNew, pause: this.#pauses.of(`route:${id}`) };
  }

  /** Removes a route, and pauses what it has accepted; false where another version is there than was expected. */
  deleteRoute(id: string, expected: Expected, author: Author): boolean {
    const before = this.#readable(id);
    if (!this.#routes.delete(id, expected)) return false;
    this.#pauseOnce(`route:${id}`, "the route was removed", author.at * 1_000);
    const detail = routeChanges(before, undefined);
    this.#audit.add(author, {
      action: "route.remove",
      client: before?.client ?? "",
      subject: id,
      version: null,
      detail,
    });
    return true;
  }

  /**
   * Pauses what a removed client has to deliver, and its routes.
   * @returns who is paused by it
   */
  clientRemoved(client: string, author: Author): Owner[] {
    return this.#ownersOf(client).filter((owner) =>
      this.#pauseOnce(owner, `the client ${client} was removed`, author.at * 1_000),
    );
  }

  /** The stores that deliver by a client: its own and its routes', at most so many. */
  storesOfClient(client: string, limit: number): StorePlace[] {
    const places: StorePlace[] = [];
    for (const owner of this.#ownersOf(client)) {
      if (places.length >= limit) break;
      places.push(...this.#stores.of(owner));
    }
    return places.slice(0, limit);
  }

  /**
   * Pauses an owner for a reason of the edge's own. One that is paused already stays so for its own reason.
   * @param at milliseconds since 1970
   */
  pauseItself(owner: Owner, reason: string, at: number): void {
    if (!this.#pauseOnce(owner, reason, at)) return;
    this.#note({ by: EDGE, at: Math.floor(at / 1_000) }, "deliveries.pause", owner, { reason });
  }

  /** Pauses an owner for an operator's reason, which takes the place of any other. */
  pause(owner: Owner, reason: string, author: Author): Pause {
    const before = this.#pauses.of(owner);
    const pause = { at: author.at * 1_000, by: author.by, reason };
    this.#pauses.put(owner, pause);
    this.#note(author, "deliveries.pause", owner, { reason, ...(before && { before: before.reason }) });
    return pause;
  }

  /** Ends a pause; returns it, or null where there was none. */
  resume(owner: Owner, author: Author): Pause | null {
    const pause = this.#pauses.delete(owner);
    if (pause !== null) this.#note(author, "deliveries.resume", owner, { reason: pause.reason });
    return pause;
  }

  /** Writes down what an operator does to deliveries. */
  noteAct(
    owner: Owner,
    { action, ...detail }: { readonly action: AuditedChange["action"]; readonly [member: string]: unknown },
    author: Author,
  ): void {
    this.#note(author, action, owner, detail);
  }

  #note(author: Author, action: AuditedChange["action"], owner: Owner, detail: object): void {
    const { kind, id } = partsOf(owner);
    const client = kind === "client" ? id : (this.#readable(id)?.client ?? "");
    this.#audit.add(author, { action, client, subject: owner, version: null, detail });
  }

  /** Who delivers by a client. */
  #ownersOf(client: string): Owner[] {
    return [`client:${client}`, ...this.#routes.of(client).map((id): Owner => `route:${id}`)];
  }

  /** Whether it was not paused before. */
  #pauseOnce(owner: Owner, reason: string, at: number): boolean {
    if (this.#pauses.of(owner) !== null) return false;
    this.#pauses.put(owner, { at, by: null, reason });
    return true;
  }

  /** A route's record, as far as it can be read: one that can't may be written over, or removed. */
  #readable(id: string): RouteRecord | undefined {
    try {
      return this.#routes.get(id)?.record;
    } catch {
      return undefined;
    }
  }
}

function partsOf(owner: Owner): { readonly kind: "route" | "client"; readonly id: string } {
  const [kind, id] = owner.split(":") as ["route" | "client", string];
  return { kind, id };
}
