import { DurableObject } from "cloudflare:workers";
import type { Observed } from "../../protocol/observed.ts";
import type { ClientRecord } from "../clients.ts";
import type { HandleRecord } from "../handles.ts";
import type { Observations } from "../observations.ts";
import { ClientsTable } from "./clients-table.ts";
import { HandlesTable } from "./handles-table.ts";
import { ObservedTable } from "./observed-table.ts";
import { UsedIdsTable } from "./used-ids-table.ts";
import type { Expected, Versioned } from "./versions.ts";

/**
 * The registry: one object that holds what the edge must agree on. Each call is one SQLite transaction, and a change is
 * refused unless the caller knew the version that it replaces.
 */
export class Registry extends DurableObject<object> {
  readonly #clients: ClientsTable;
  readonly #handles: HandlesTable;
  readonly #observed: ObservedTable;
  readonly #usedIds: UsedIdsTable;

  constructor(state: DurableObjectState, env: object) {
    super(state, env);
    const { sql } = state.storage;
    this.#clients = new ClientsTable(sql);
    this.#handles = new HandlesTable(sql);
    this.#observed = new ObservedTable(sql);
    this.#usedIds = new UsedIdsTable(sql);
  }

  /** The client's record, or null. */
  client(id: string): Versioned<ClientRecord> | null {
    return this.#clients.get(id);
  }

  /** Stores a record; returns its new version, or null where another version is there than was expected. */
  putClient(record: ClientRecord, expected: Expected): number | null {
    return this.#clients.put(record, expected);
  }

  /** Removes a record with the client's handles and what was noted of it; false where another version is there than was expected. */
  deleteClient(id: string, expected: Expected): boolean {
    if (!this.#clients.delete(id, expected)) return false;
    this.#handles.deleteAllOf(id);
    this.#observed.deleteAllOf(id);
    return true;
  }

  /** What a handle stands for, by its hash, or null. */
  handle(hash: string): HandleRecord | null {
    return this.#handles.get(hash);
  }

  /**
   * Stores a handle.
   * @param now seconds since 1970
   * @returns false where its client is not there any more
   */
  putHandle(hash: string, record: HandleRecord, now: number): boolean {
    if (this.#clients.versionOf(record.claims.iss) === undefined) return false;
    this.#handles.put(hash, record, now);
    return true;
  }

  /** Revokes a handle; false where there is none of this id. */
  deleteHandle(id: string): boolean {
    return this.#handles.delete(id);
  }

  /** Notes what was used under clients whose lists are not enforced. */
  observe(seen: readonly Observations[]): void {
    for (const one of seen) if (this.#clients.versionOf(one.client) !== undefined) this.#observed.add(one);
  }

  /** What was noted of a client. */
  observed(client: string): Observed {
    return this.#observed.of(client);
  }

  /** Begins anew with a client. */
  clearObserved(client: string): void {
    this.#observed.deleteAllOf(client);
  }

  /**
   * Takes an administrative token's id once.
   * @param expires seconds since 1970 after which no token with this id can be valid
   * @returns false where the id was used before
   */
  useOnce(id: string, expires: number, now: number): boolean {
    return this.#usedIds.take(id, expires, now);
  }
}
