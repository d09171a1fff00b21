/** Who changes the registry, and when. */
export interface Author {
  /** The operator's key, by its id; `(edge)` where the edge had a reason of its own. */
  readonly by: string;
  /** Seconds since 1970. */
  readonly at: number;
}

/** What can be done to the registry. */
export type AuditAction =
  | "client.add"
  | "client.update"
  | "client.remove"
  | "handle.add"
  | "handle.revoke"
  | "token.revoke"
  | "observed.clear"
  | "route.add"
  | "route.update"
  | "route.remove"
  | "deliveries.pause"
  | "deliveries.resume"
  | "deliveries.replay"
  | "deliveries.purge"
  | "deliveries.skip";

/** What was done, and to whom. */
export interface AuditedChange {
  readonly action: AuditAction;
  /** Empty where the route that had one was removed. */
  readonly client: string;
  /** What was changed: the client's id, a handle's, a token's `jti`, a route's id, or whose deliveries. */
  readonly subject: string;
  /** The record's version behind the change; null where there is none. */
  readonly version: number | null;
  /** What changed of it; nothing secret. */
  readonly detail: object;
}

/** One change, as it is read back. */
export interface AuditEntry extends Author, AuditedChange {
  /** Counts them. */
  readonly seq: number;
}
