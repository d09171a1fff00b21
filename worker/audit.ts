/** Who changes the registry, and when. */
export interface Author {
  /** The operator's key, by its id. */
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
  | "observed.clear";

/** What was done, and to whom. */
export interface AuditedChange {
  readonly action: AuditAction;
  readonly client: string;
  /** What was changed: the client's id, a handle's, or a token's `jti`. */
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
