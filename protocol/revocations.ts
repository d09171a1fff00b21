import { RelayError } from "./errors.ts";
import { CLIENT_ID, THUMBPRINT } from "./keys.ts";
import { REVOCATIONS_PAGE_MAX } from "./limits.ts";
import { REQUEST_ID } from "./tokens.ts";

/** What can be revoked: a client, one of its keys, a handle, a scope token, or a rule by which a platform's workloads are let in. */
export type RevocationKind = "client" | "key" | "handle" | "token" | "rule";

/** One revocation, as the edge tells its nodes of it. */
export interface Revocation {
  /** Counts them. */
  readonly seq: number;
  /** Seconds since 1970. */
  readonly at: number;
  readonly kind: RevocationKind;
  readonly client: string;
  /** The client's id, the key's thumbprint, the handle's id, the token's `jti`, or the rule's id. */
  readonly id: string;
}

/** An answer to `GET /revocations`. */
export interface RevocationPage {
  /** What to ask on after. */
  readonly next: number;
  /** Oldest first. */
  readonly entries: readonly Revocation[];
}

const IDS: Readonly<Record<RevocationKind, RegExp>> = {
  client: CLIENT_ID,
  key: THUMBPRINT,
  handle: REQUEST_ID,
  token: REQUEST_ID,
  // A SHA-256, as a thumbprint is.
  rule: THUMBPRINT,
};

/**
 * Reads a page: all of it, or nothing where any of it is not what it has to be.
 *
 * @param text JSON
 * @returns the page, and how many of its entries are of kinds that this version doesn't know: they are left out
 * @throws RelayError `answer_invalid`
 * @example parseRevocations('{"next":7,"entries":[]}') // { page: { next: 7, entries: [] }, unknown: 0 }
 */
export function parseRevocations(text: string): { readonly page: RevocationPage; readonly unknown: number } {
  const { next, entries } = objectIn(text);
  if (!isCount(next)) throw invalid("next is no count");
  if (!Array.isArray(entries)) throw invalid("entries is no list");
  if (entries.length > REVOCATIONS_PAGE_MAX) {
    throw invalid(`there are more than ${REVOCATIONS_PAGE_MAX} entries`);
  }
  const read: Revocation[] = [];
  let last = 0;
  for (const [index, entry] of entries.entries() as ArrayIterator<[number, unknown]>) {
    const { seq, at, kind, client, id } = (entry ?? {}) as Readonly<Record<string, unknown>>;
    if (!isCount(seq) || seq <= last || !isCount(at) || typeof kind !== "string") throw badEntry(index);
    last = seq;
    if (!isKind(kind)) continue;
    if (!isText(client, CLIENT_ID) || !isText(id, IDS[kind])) throw badEntry(index);
    if (kind === "client" && id !== client) throw badEntry(index);
    read.push({ seq, at, kind, client, id });
  }
  if (next < last) throw invalid("next lies before the last entry");
  return { page: { next, entries: read }, unknown: entries.length - read.length };
}

function objectIn(text: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalid("it is no JSON");
  }
  if (typeof value !== "object" || value === null) throw invalid("it is no object");
  return value as Readonly<Record<string, unknown>>;
}

function isKind(kind: string): kind is RevocationKind {
  return Object.hasOwn(IDS, kind);
}

function isText(value: unknown, form: RegExp): value is string {
  return typeof value === "string" && form.test(value);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function badEntry(index: number): RelayError {
  return invalid(`entry ${index} is none`);
}

/** @param why quotes nothing of what was sent */
function invalid(why: string): RelayError {
  return new RelayError("answer_invalid", `this is no page of revocations: ${why}`, { reached: "no" });
}
