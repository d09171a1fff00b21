import type { Owner, Pause } from "../../protocol/deliveries.ts";
import type { Versioned } from "../registry/versions.ts";
import type { RouteRecord } from "../routes.ts";

/** What a store has to know of its owner, as the registry tells it. */
export interface DeliveryOwner {
  /** Of a route that is there; null of a client. */
  readonly route: Versioned<RouteRecord> | null;
  /** Whether the route or the client is registered. Of a route its client is looked at with each attempt. */
  readonly isThere: boolean;
  /** Null where nothing keeps its deliveries from being made. */
  readonly pause: Pause | null;
}

/** One of an owner's stores. */
export interface StorePlace {
  readonly owner: Owner;
  /** From 0. */
  readonly index: number;
}
