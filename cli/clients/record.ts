import { isDeepStrictEqual } from "node:util";
import type { JWK } from "jose";
import { RelayError } from "../../protocol/errors.ts";
import { withEntries } from "../records/edit.ts";
import type { Versioned } from "../records/registry.ts";

/** A public key in a client's record. */
export interface ClientJwk extends JWK {
  /** Seconds since 1970 from which on it verifies nothing. */
  readonly exp?: number;
}

/** A client's record, as far as it is looked at here: the edge judges it. */
export interface ClientRecord {
  readonly id: string;
  readonly keys: readonly ClientJwk[];
  readonly allow: readonly string[];
  readonly pool?: readonly string[];
  readonly limits?: Readonly<Record<string, number>>;
  readonly issuers?: readonly object[];
  readonly [member: string]: unknown;
}

/** A record with the version that it was read with. */
export type VersionedRecord = Versioned<ClientRecord>;

/** What is to be different in a record, whatever else it holds; keys and issuers read, or as the command line has them. */
export interface RecordEdit<Key = ClientJwk, Issuer = object> {
  readonly addAllow: readonly string[];
  readonly removeAllow: readonly string[];
  readonly addKeys: readonly Key[];
  /** Thumbprints. */
  readonly removeKeys: readonly string[];
  readonly addIssuers: readonly Issuer[];
  readonly removeIssuers: readonly Issuer[];
  /** By name; undefined for the edge's own limit. */
  readonly limits: ReadonlyMap<string, number | undefined>;
  /** The whole list; `all` for every node. */
  readonly pool: readonly string[] | "all" | undefined;
  /** Other members by name; undefined takes one away. */
  readonly members: ReadonlyMap<string, unknown>;
}

/** A key by its thumbprint. */
export type Thumbprint = (jwk: ClientJwk) => string;

/**
 * A record with the edit applied. What is to be added and is there stays as it is.
 *
 * @param thumbprintOf of every key in the record and in the edit
 * @throws RelayError `request_invalid` where something is to be removed that isn't there
 */
export function editRecord(record: ClientRecord, edit: RecordEdit, thumbprintOf: Thumbprint): ClientRecord {
  const { limits: _limits, pool, issuers: _issuers, ...rest } = record;
  const limits = withEntries(record.limits ?? {}, edit.limits);
  const issuers = edited(record.issuers ?? [], edit.addIssuers, edit.removeIssuers, "issuer", (rule) => rule);
  const nextPool = edit.pool ?? pool;
  const keys = edited(record.keys, edit.addKeys, edit.removeKeys, "key", thumbprintOf);
  return withEntries(
    {
      ...rest,
      keys,
      allow: edited(record.allow, edit.addAllow, edit.removeAllow, "target", (entry) => entry),
      ...(nextPool !== undefined && nextPool !== "all" && { pool: nextPool }),
      ...(Object.keys(limits).length > 0 && { limits }),
      ...(issuers.length > 0 && { issuers }),
    },
    edit.members,
  ) as ClientRecord;
}

/**
 * A record with another key beside those that it has, which end at `until` at the latest. Keys that have ended are dropped.
 *
 * @param until seconds since 1970; of now or before, the others go at once
 * @param now seconds since 1970
 */
export function rotateKeys(record: ClientRecord, key: ClientJwk, until: number, now: number): ClientRecord {
  const others = record.keys
    .filter(({ exp = Infinity }) => Math.min(exp, until) > now)
    .map((jwk) => Object.assign({}, jwk, { exp: Math.min(jwk.exp ?? Infinity, until) }));
  return { ...record, keys: [...others, key] };
}

function edited<T, Id>(
  list: readonly T[],
  added: readonly T[],
  removed: readonly Id[],
  what: string,
  idOf: (entry: T) => Id,
): readonly T[] {
  const has = (entries: readonly Id[], id: Id) => entries.some((one) => isDeepStrictEqual(one, id));
  const ids = list.map((entry) => idOf(entry));
  const missing = removed.find((id) => !has(ids, id));
  if (missing !== undefined) {
    const told = typeof missing === "string" ? missing : JSON.stringify(missing);
    throw new RelayError("request_invalid", `the record has no ${what} ${told}`);
  }
  const kept = list.filter((entry) => !has(removed, idOf(entry)));
  return [
    ...kept,
    ...added.filter(
      (entry) =>
        !has(
          kept.map((one) => idOf(one)),
          idOf(entry),
        ),
    ),
  ];
}
