import { DurableObject } from "cloudflare:workers";
import { type ClientUsage, monthOf, type UsageReport } from "../../protocol/usage.ts";
import type { ClientRecord } from "../clients.ts";
import type { HandleRecord } from "../handles.ts";
import type { MonthsQuota } from "../quota.ts";
import { ClientsTable } from "./clients-table.ts";
import { HandlesTable } from "./handles-table.ts";
import { type NotedUsage, noteUsage, type UsageWithQuota } from "./note-usage.ts";
import { UsageTable } from "./usage-table.ts";
import { UsedIdsTable } from "./used-ids-table.ts";
import type { Expected, Versioned } from "./versions.ts";

/** A client's record, and what it has used of this month, where it has a quota. */
export interface StoredClient extends Versioned<ClientRecord> {
  readonly used?: Omit<MonthsQuota, "quota">;
}

/**
 * The registry: one object that holds what the edge must agree on. Each call is one SQLite transaction, and a change is
 * refused unless the caller knew the version that it replaces.
 */
export class Registry extends DurableObject<object> {
  readonly #clients: ClientsTable;
  readonly #handles: HandlesTable;
  readonly #usedIds: UsedIdsTable;
  readonly #usage: UsageTable;

  constructor(state: DurableObjectState, env: object) {
    super(state, env);
    const { sql } = state.storage;
    this.#clients = new ClientsTable(sql);
    this.#handles = new HandlesTable(sql);
    this.#usedIds = new UsedIdsTable(sql);
    this.#usage = new UsageTable(sql);
  }

  /** The client's record, or null; with what it has used of this month, where it has a quota. */
  client(id: string): StoredClient | null {
    const stored = this.#clients.get(id);
    if (stored?.record.quota === undefined) return stored;
    const month = monthOf(Date.now());
    return { ...stored, used: { month, used: this.#usage.of(id, month) } };
  }

  /** Stores a record; returns its new version, or null where another version is there than was expected. */
  putClient(record: ClientRecord, expected: Expected): number | null {
    return this.#clients.put(record, expected);
  }

  /** Removes a record with the client's handles; false where another version is there than was expected. */
  deleteClient(id: string, expected: Expected): boolean {
    if (!this.#clients.delete(id, expected)) return false;
    this.#handles.deleteAllOf(id);
    this.#usage.remember(id, monthOf(Date.now()));
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

  /**
   * Takes an administrative token's id once.
   * @param expires seconds since 1970 after which no token with this id can be valid
   * @returns false where the id was used before
   */
  useOnce(id: string, expires: number, now: number): boolean {
    return this.#usedIds.take(id, expires, now);
  }

  /**
   * Notes what a node counted.
   * @param now milliseconds since 1970
   * @returns null where the node has begun too many epochs
   */
  noteUsage(node: string, report: UsageReport, now: number): NotedUsage | null {
    return noteUsage({ usage: this.#usage, quotaOf: (id) => this.#clients.quotaOf(id) }, node, report, now);
  }

  /** What clients used in a month, in the order of their ids, behind the one that is named. */
  usage(month: string, after: string, limit: number): readonly UsageWithQuota[] {
    return this.#usage.list(month, after, limit).map((used) => this.#withQuota(used));
  }

  /** The same of one client. */
  usageOf(client: string, month: string): UsageWithQuota {
    return this.#withQuota({ client, ...this.#usage.of(client, month) });
  }

  #withQuota(used: ClientUsage): UsageWithQuota {
    const quota = this.#clients.quotaOf(used.client);
    return quota ? { ...used, quota } : used;
  }
}
