import { DurableObject } from "cloudflare:workers";
import type {
  Accepted,
  DeliveryCounts,
  DeliveryDetail,
  DeliveryRow,
  DeliveryState,
} from "../../protocol/deliveries.ts";
import type { NewEvent } from "./event.ts";

/** What a call that stores is refused for, besides what throws. */
export interface Refusal {
  readonly status: "conflict" | "backlog_full" | "uploads_limited";
}

/** What a list of deliveries is narrowed to. Times are milliseconds since 1970. */
export interface DeliveryFilter {
  readonly state?: DeliveryState | undefined;
  readonly lane?: string | undefined;
  /** Accepted from, and before. */
  readonly from?: number | undefined;
  readonly to?: number | undefined;
}

/** What is to become of many deliveries, at a bounded rate. */
export interface Sweep {
  readonly act: "replay" | "purge";
  readonly filter: DeliveryFilter;
  /** Deliveries per second, of this store. */
  readonly rate: number;
}

/**
 * One of an owner's stores: what was accepted, and the engine that delivers it, woken by one alarm.
 *
 * Its alarm handler never throws: after seven times the platform would not call it again.
 */
export class Deliveries extends DurableObject<object> {
  /** Stores an event with its whole body. */
  async accept(_event: NewEvent, _body: Uint8Array<ArrayBuffer>): Promise<Accepted | Refusal> {
    throw new Error("not built yet");
  }

  /**
   * Stores a piece of a body whose event is not known to be good yet: nothing of it counts before `commit`, and without that it
   * is swept.
   *
   * @param n counts the pieces from 0; each but the last has DELIVERY_CHUNK_BYTES
   * @returns whether there was room
   */
  async stage(_id: string, _n: number, _bytes: Uint8Array<ArrayBuffer>): Promise<boolean> {
    throw new Error("not built yet");
  }

  /** Stores an event whose body was staged under its id. */
  async commit(_event: NewEvent): Promise<Accepted | Refusal> {
    throw new Error("not built yet");
  }

  /** Forgets what was staged. */
  async abandon(_id: string): Promise<void> {
    throw new Error("not built yet");
  }

  /** Deliveries by the time of their acceptance, the latest first, behind `before`. */
  async list(
    _filter: DeliveryFilter,
    _before: { readonly accepted: number; readonly id: string } | null,
    _limit: number,
  ): Promise<DeliveryRow[]> {
    throw new Error("not built yet");
  }

  async show(_id: string): Promise<DeliveryDetail | null> {
    throw new Error("not built yet");
  }

  async counts(): Promise<DeliveryCounts> {
    throw new Error("not built yet");
  }

  /** Makes one again that has ended; false where there is none of this id. One that is pending is tried at once. */
  async replay(_id: string): Promise<boolean> {
    throw new Error("not built yet");
  }

  /** Removes one for good; false where there is none of this id. */
  async purge(_id: string): Promise<boolean> {
    throw new Error("not built yet");
  }

  /** Gives up the first one of a lane, so that those behind it go on; its id, or null where the lane is empty. */
  async skip(_lane: string): Promise<string | null> {
    throw new Error("not built yet");
  }

  /** Begins to replay or purge many; the sweep goes on by itself. */
  async sweep(_sweep: Sweep): Promise<void> {
    throw new Error("not built yet");
  }

  /** Something of the owner's changed: what is remembered of it is forgotten, and what is due goes on. */
  async wake(): Promise<void> {
    throw new Error("not built yet");
  }

  /** Sets the alarm again, where it was lost. */
  async rearm(): Promise<void> {
    throw new Error("not built yet");
  }
}
