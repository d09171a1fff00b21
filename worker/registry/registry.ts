import { DurableObject } from "cloudflare:workers";
import type { Owner, Pause } from "../../protocol/deliveries.ts";
import type { Observed } from "../../protocol/observed.ts";
import type { RevocationKind, RevocationPage } from "../../protocol/revocations.ts";
import { type ClientUsage, monthOf, type UsageReport } from "../../protocol/usage.ts";
import type { AuditEntry, Author } from "../audit.ts";
import type { ClientRecord } from "../clients.ts";
import type { DeliveryOwner, StorePlace } from "../deliveries/owner.ts";
import type { HandleRecord } from "../handles.ts";
import type { Observations } from "../observations.ts";
import type { MonthsQuota } from "../quota.ts";
import { recordChanges, type Snapshot } from "../record-changes.ts";
import { rememberUntil, type RevokedToken, tokenRememberedUntil } from "../revoked.ts";
import type { RouteRecord } from "../routes.ts";
import { AuditTable } from "./audit-table.ts";
import { ClientsTable } from "./clients-table.ts";
import { DeliveryOwners, type ListedRoute, type OwnerState, type PutRoute } from "./delivery-owners.ts";
import { HandlesTable } from "./handles-table.ts";
import { KeysTable } from "./keys-table.ts";
import { noteOlder } from "./note-older.ts";
import { type NotedUsage, noteUsage, type UsageWithQuota } from "./note-usage.ts";
import { ObservedTable } from "./observed-table.ts";
import { RevocationsTable } from "./revocations-table.ts";
import { RulesTable } from "./rules-table.ts";
import { UsageTable } from "./usage-table.ts";
import { UsedIdsTable } from "./used-ids-table.ts";
import type { Expected, Versioned } from "./versions.ts";

/** A client's record, and what it has used of this month, where it has a quota. */
export interface StoredClient extends Versioned<ClientRecord> {
  readonly used?: Omit<MonthsQuota, "quota">;
}

/**
 * The registry: one object that holds what the edge must agree on. Each call is one SQLite transaction, and a change is
 * refused unless the caller knew the version that it replaces. What is revoked, and who changed what, is written down with the
 * change itself.
 */
export class Registry extends DurableObject<object> {
  readonly #clients: ClientsTable;
  readonly #keys: KeysTable;
  readonly #rules: RulesTable;
  readonly #handles: HandlesTable;
  readonly #observed: ObservedTable;
  readonly #revocations: RevocationsTable;
  readonly #audit: AuditTable;
  readonly #usedIds: UsedIdsTable;
  readonly #usage: UsageTable;
  readonly #owners: DeliveryOwners;

  constructor(state: DurableObjectState, env: object) {
    super(state, env);
    const { sql } = state.storage;
    this.#clients = new ClientsTable(sql);
    this.#keys = new KeysTable(sql);
    this.#rules = new RulesTable(sql);
    this.#handles = new HandlesTable(sql);
    this.#observed = new ObservedTable(sql);
    this.#revocations = new RevocationsTable(sql);
    this.#audit = new AuditTable(sql);
    this.#usedIds = new UsedIdsTable(sql);
    this.#usage = new UsageTable(sql);
    this.#owners = new DeliveryOwners(sql, { clients: this.#clients, audit: this.#audit });
    const tables = { keys: this.#keys, rules: this.#rules };
    const now = Math.floor(Date.now() / 1_000);
    void state.blockConcurrencyWhile(() => noteOlder(tables, (id) => this.#readable(id), now));
  }

  /** The client's record, or null; with what it has used of this month, where it has a quota. */
  client(id: string): StoredClient | null {
    const stored = this.#clients.get(id);
    if (stored?.record.quota === undefined) return stored;
    const month = monthOf(Date.now());
    return { ...stored, used: { month, used: this.#usage.of(id, month) } };
  }

  /** At most so many records, by their ids' order, of ids behind the given one. */
  clients(after: string, limit: number): Versioned<ClientRecord>[] {
    return this.#clients.list(after, limit);
  }

  /** Stores a record with the ids of its rules; returns its version, or null where another one is there than was expected. */
  putClient(
    { rules, ...next }: Snapshot & { readonly rules: readonly string[] },
    expected: Expected,
    author: Author,
  ): { readonly version: number; readonly isNew: boolean } | null {
    return this.#atOnce(() => {
      const { id: client, limits } = next.record;
      const isNew = this.#clients.versionOf(client) === undefined;
      const before = this.#snapshot(client);
      const version = this.#clients.put(next.record, expected);
      if (version === null) return null;
      this.#endKeys(author.at);
      for (const key of this.#keys.replace(client, next.keys, author.at)) {
        this.#revoke("key", client, key, author.at, [before?.record.limits, limits]);
      }
      for (const rule of this.#rules.replace(client, rules)) {
        this.#revoke("rule", client, rule, author.at, [before?.record.limits, limits]);
      }
      this.#audit.add(author, {
        action: isNew ? "client.add" : "client.update",
        client,
        subject: client,
        version,
        detail: recordChanges(before, next),
      });
      return { version, isNew };
    });
  }

  /**
   * Removes a record with the client's handles and what was noted of it, and pauses what is to be delivered by it; false where
   * another version is there than was expected.
   */
  deleteClient(id: string, expected: Expected, author: Author): boolean {
    return this.#atOnce(() => {
      const before = this.#snapshot(id);
      if (!this.#clients.delete(id, expected)) return false;
      this.#endKeys(author.at);
      this.#keys.deleteAllOf(id);
      this.#rules.replace(id, []);
      this.#handles.deleteAllOf(id);
      this.#observed.deleteAllOf(id);
      this.#usage.remember(id, monthOf(author.at * 1_000));
      this.#revoke("client", id, id, author.at, [before?.record.limits]);
      const paused = this.#owners.clientRemoved(id, author);
      const detail = { ...recordChanges(before, undefined), ...(paused.length > 1 && { paused }) };
      this.#audit.add(author, { action: "client.remove", client: id, subject: id, version: null, detail });
      return true;
    });
  }

  /** What a handle stands for, by its hash, or null. */
  handle(hash: string): HandleRecord | null {
    return this.#handles.get(hash);
  }

  /**
   * At most so many of a client's handles, by their ids' order, of ids behind the given one.
   * @param now seconds since 1970
   */
  handles(client: string, after: string, limit: number, now: number): HandleRecord[] {
    return this.#handles.list(client, after, limit, now);
  }

  /** Stores a handle, unless its client is not there any more or its scope token was revoked. */
  putHandle(
    hash: string,
    record: HandleRecord,
    author: Author,
  ): "stored" | "client_unknown" | "token_revoked" {
    return this.#atOnce(() => {
      const { id, key, claims } = record;
      const { iss: client, jti, act, allow, exp: expires } = claims;
      if (this.#clients.versionOf(client) === undefined) return "client_unknown";
      if (this.#revocations.hasToken(client, jti)) return "token_revoked";
      this.#handles.put(hash, record, author.at);
      const detail = { token: jti, act, allow, expires, key };
      this.#audit.add(author, { action: "handle.add", client, subject: id, version: null, detail });
      return "stored";
    });
  }

  /** Revokes a handle; false where there is none of this id. */
  deleteHandle(id: string, author: Author): boolean {
    return this.#atOnce(() => {
      const client = this.#handles.delete(id);
      if (client === undefined) return false;
      this.#revoke("handle", client, id, author.at, [this.#readable(client)?.limits]);
      this.#audit.add(author, { action: "handle.revoke", client, subject: id, version: null, detail: {} });
      return true;
    });
  }

  /** Revokes a scope token, with the handles that stand for it; false where its client is not there. A second time changes nothing. */
  revokeToken(token: RevokedToken, author: Author): boolean {
    return this.#atOnce(() => {
      const { client, jti } = token;
      const limits = this.#readable(client)?.limits;
      if (this.#clients.versionOf(client) === undefined) return false;
      if (this.#revocations.hasToken(client, jti)) return true;
      const expires = tokenRememberedUntil(token, author.at, limits);
      this.#revocations.add({ at: author.at, kind: "token", client, id: jti }, expires);
      const handles = this.#handles.deleteOfToken(client, jti);
      for (const id of handles) this.#revoke("handle", client, id, author.at, [limits]);
      this.#audit.add(author, {
        action: "token.revoke",
        client,
        subject: jti,
        version: null,
        detail: { expires: token.exp ?? null, handles },
      });
      return true;
    });
  }

  /** Whether a scope token was revoked. */
  isTokenRevoked(client: string, jti: string): boolean {
    return this.#revocations.hasToken(client, jti);
  }

  /**
   * What was revoked after one number; without it, or for one that was never given, lately.
   * @param now seconds since 1970
   */
  revocations(after: number | undefined, now: number): RevocationPage {
    return this.#atOnce(() => {
      this.#endKeys(now);
      return this.#revocations.list(after, now);
    });
  }

  /** Changes of the registry, the newest first. */
  audit(...asked: Parameters<AuditTable["list"]>): AuditEntry[] {
    return this.#audit.list(...asked);
  }

  /** Notes what was used under clients whose lists are not enforced. */
  observe(seen: readonly Observations[]): void {
    // Of what fails half-way its isolate tells once more.
    this.#atOnce(() => {
      for (const one of seen) if (this.#clients.versionOf(one.client) !== undefined) this.#observed.add(one);
    });
  }

  /** What was noted of a client. */
  observed(client: string): Observed {
    return this.#observed.of(client);
  }

  /** Begins anew with a client. Where nothing was noted nothing changes. */
  clearObserved(client: string, author: Author): void {
    this.#atOnce(() => {
      const detail = this.#observed.deleteAllOf(client);
      if (detail.entries + detail.dropped === 0) return;
      this.#audit.add(author, { action: "observed.clear", client, subject: client, version: null, detail });
    });
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
    const tables = { usage: this.#usage, quotaOf: (id: string) => this.#clients.quotaOf(id) };
    return this.#atOnce(() => noteUsage(tables, node, report, now));
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

  /** A route's record, or null. */
  route(id: string): Versioned<RouteRecord> | null {
    return this.#owners.route(id);
  }

  /** At most so many routes, by their ids' order, of ids behind the given one. */
  routes(after: string, limit: number): ListedRoute[] {
    return this.#owners.listRoutes(after, limit);
  }

  /** Stores a route, whose client has to be there. */
  putRoute(record: RouteRecord, expected: Expected, author: Author): PutRoute {
    return this.#atOnce(() => this.#owners.putRoute(record, expected, author));
  }

  /** Removes a route, and pauses what it has accepted; false where another version is there than was expected. */
  deleteRoute(id: string, expected: Expected, author: Author): boolean {
    return this.#atOnce(() => this.#owners.deleteRoute(id, expected, author));
  }

  /** What a store has to know of its owner. */
  deliveryOwner(owner: Owner): DeliveryOwner {
    return this.#owners.of(owner);
  }

  /**
   * Pauses an owner's deliveries, for a reason that the edge has itself. One that is paused already stays so for its own reason.
   * @param at milliseconds since 1970
   */
  pauseOwner(owner: Owner, reason: string, at: number): void {
    this.#atOnce(() => this.#owners.pauseItself(owner, reason, at));
  }

  /** Pauses an owner's deliveries for an operator's reason, which takes the place of any other. */
  pauseFor(owner: Owner, reason: string, author: Author): Pause {
    return this.#atOnce(() => this.#owners.pause(owner, reason, author));
  }

  /** Ends a pause; returns it, or null where there was none. */
  resumeOwner(owner: Owner, author: Author): Pause | null {
    return this.#atOnce(() => this.#owners.resume(owner, author));
  }

  /** Writes down what an operator does to deliveries, which are elsewhere. */
  noteDeliveries(...act: Parameters<DeliveryOwners["noteAct"]>): void {
    this.#atOnce(() => this.#owners.noteAct(...act));
  }

  /** Remembers that a store is in use, so that one that lost its alarm is found. */
  noteStore(owner: Owner, index: number): void {
    this.#owners.stores.add({ owner, index });
  }

  /** What an operator has to know of an owner. */
  ownerState(owner: Owner): OwnerState {
    return this.#owners.state(owner);
  }

  /** The stores that deliver by a client: its own and its routes', at most so many. */
  storesOfClient(client: string, limit: number): StorePlace[] {
    return this.#owners.storesOfClient(client, limit);
  }

  /** The next stores that are in use, at most so many; none at the end, and then from the beginning again. */
  nextStores(limit: number): StorePlace[] {
    return this.#owners.stores.next(limit);
  }

  /** A change that throws half-way leaves nothing behind. */
  #atOnce<T>(change: () => T): T {
    return this.ctx.storage.transactionSync(change);
  }

  #snapshot(id: string): Snapshot | undefined {
    const record = this.#readable(id);
    return record === undefined ? undefined : { record, keys: this.#keys.of(id) };
  }

  /** A client's record, as far as it can be read: one that can't refuses its own client, and must not stand in the way of others. */
  #readable(id: string): ClientRecord | undefined {
    try {
      return this.#clients.get(id)?.record;
    } catch {
      return undefined;
    }
  }

  /** Notes the keys that have ended by themselves, as of their own time. */
  #endKeys(now: number): void {
    for (const { client, key, exp } of this.#keys.takeEnded(now)) {
      this.#revoke("key", client, key, exp, [this.#readable(client)?.limits]);
    }
  }

  #revoke(
    kind: RevocationKind,
    client: string,
    id: string,
    at: number,
    limits: Parameters<typeof rememberUntil>[1],
  ): void {
    this.#revocations.add({ at, kind, client, id }, rememberUntil(at, limits));
  }
}
