import type { DeliveryKind, Owner } from "../../protocol/deliveries.ts";

/** A request as it is stored, sealed: where it goes and what its fields are may hold credentials. */
export interface StoredRequest {
  /** The whole target URL; of a hook only the query that came with it, `?` included, since its route says where it goes. */
  readonly url: string;
  /** Its end-to-end fields: the encoded section of `protocol/envelope.ts`, in base64url. */
  readonly fields: string;
}

/** What is handed to a store. */
export interface NewEvent {
  readonly id: string;
  readonly owner: Owner;
  readonly kind: DeliveryKind;
  /** Whose `allow` and limits it goes by. */
  readonly client: string;
  readonly method: string;
  /** Origin of its URL; null of a hook. */
  readonly origin: string | null;
  /** A `StoredRequest` as JSON, sealed for the place `delivery <id>`. */
  readonly request: string;
  /** RFC 9530 member of the body, `sha-256=:…:`. */
  readonly digest: string;
  /** Bytes of the body. */
  readonly size: number;
  /** What it is known by when it comes again; null where nothing tells. */
  readonly dedupe: string | null;
  /** What a second one with the same `dedupe` has to be like: any other is a conflict. Null where it may differ. */
  readonly likeness: string | null;
  readonly lane: string | null;
  /** Seconds before each attempt; null for what the route says, or else the usual. */
  readonly schedule: readonly number[] | null;
  /** Where the outcome is posted to, sealed for the place `callback <id>`; null where nobody wants to know. */
  readonly callback: string | null;
}

/** An event that a store has, for whoever makes the attempt. */
export interface StoredEvent extends NewEvent {
  /** Milliseconds since 1970. */
  readonly accepted: number;
  /** Which attempt this one is, from 1. */
  readonly attempt: number;
}
