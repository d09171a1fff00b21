import { algorithmOf } from "../../protocol/keys.ts";
import { type FileRecord, invalid, isObject, jsonIn, readRecordFile } from "../records/read-file.ts";
import type { ClientJwk } from "./record.ts";

/** What operators give as a file or as JSON. No message quotes any of it: it may be a private key by mistake. */

/** Members of a JWK that belong to private and symmetric keys alone (RFC 7518 section 6). */
const PRIVATE = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/**
 * A public key.
 * @param given a file's path, or a JWK
 * @throws RelayError `request_invalid`
 */
export function readPublicKey(given: string): ClientJwk {
  const value = jsonIn(given, "a public key");
  if (!isObject(value) || algorithmOf(value) === undefined) {
    throw invalid("a public key must be an Ed25519 or P-256 JWK");
  }
  refusePrivate(value);
  const { kty, crv, x, y, exp } = value as ClientJwk;
  return { kty, crv, x, ...(y !== undefined && { y }), ...(exp !== undefined && { exp }) } as ClientJwk;
}

/**
 * A rule for a platform's workloads.
 * @param given a file's path, JSON, or `ISSUER,CLAIM=VALUE,…`
 * @throws RelayError `request_invalid`
 * @example readIssuer("github,repository=acme/shop") // { issuer: "github", claims: { repository: "acme/shop" } }
 */
export function readIssuer(given: string): object {
  if (!given.includes(",") || given.startsWith("{")) {
    const value = jsonIn(given, "an issuer", "; its short form is ISSUER,CLAIM=VALUE,…");
    if (!isObject(value)) throw invalid("an issuer must be an object");
    return value;
  }
  const [issuer = "", ...parts] = given.split(",");
  const pairs = parts.map((part): [string, string] => {
    const at = part.indexOf("=");
    if (at < 1) throw invalid("an issuer's short form is ISSUER,CLAIM=VALUE,…");
    return [part.slice(0, at), part.slice(at + 1)];
  });
  const { audience, ...claims } = Object.fromEntries(pairs);
  return { issuer, ...(audience !== undefined && { audience }), claims };
}

/**
 * A whole record, as `clients show --json` writes it or without its version.
 * @throws RelayError `request_invalid`
 */
export function readRecord(file: string): FileRecord {
  const read = readRecordFile(file);
  const { keys } = read.record as { keys?: unknown };
  if (Array.isArray(keys)) for (const key of keys as unknown[]) refusePrivate(key);
  return read;
}

/** The edge refuses it as well; but no private key is to cross the wire. */
function refusePrivate(jwk: unknown): void {
  if (isObject(jwk) && PRIVATE.some((name) => name in jwk)) {
    throw invalid("that is a private key: give its public half, without the member d");
  }
}
