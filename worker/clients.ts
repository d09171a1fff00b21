import { calculateJwkThumbprint, type JWK } from "jose";
import * as z from "zod/mini";
import { RelayError } from "../protocol/errors.ts";
import { algorithmOf, type BoundKey, CLIENT_ID, importPublicKey } from "../protocol/keys.ts";
import { CLIENT_ALLOW_MAX, CLIENT_KEYS_MAX } from "../protocol/limits.ts";
import type { Quota } from "../protocol/quota.ts";
import { type AllowedTarget, parseAllowedTarget } from "../protocol/targets.ts";
import { tellIssue } from "./issues.ts";
import { type MonthsQuota, quotaSchema } from "./quota.ts";

/** A client as the registry stores it. */
export interface ClientRecord {
  readonly id: string;
  /** Public keys, current and next. */
  readonly keys: readonly JWK[];
  /** Targets, as `parseAllowedTarget` reads them. */
  readonly allow: readonly string[];
  /** Ids of the nodes that it may leave from; all nodes where it is left out. */
  readonly pool?: readonly string[] | undefined;
  /** Over the whole pool; each node gets its share. */
  readonly limits?: ClientLimits | undefined;
  /** What it may use in a calendar month, UTC. */
  readonly quota?: Quota | undefined;
}

/** What one client may use of the pool; what is left out has the edge's default. */
export interface ClientLimits {
  /** Requests per second. */
  readonly requestsPerSecond?: number | undefined;
  /** Requests under way at once. */
  readonly concurrent?: number | undefined;
  /** Bytes of bodies and streams per second, both ways together. */
  readonly bytesPerSecond?: number | undefined;
  /** Streams at once. */
  readonly streams?: number | undefined;
  /** Seconds that a stream may carry nothing, either way. */
  readonly streamIdleSeconds?: number | undefined;
  /** Seconds that a stream may last. */
  readonly streamLifetimeSeconds?: number | undefined;
  /** Seconds that a scope token of the client's may live. */
  readonly scopeSeconds?: number | undefined;
}

/** A client ready for use: keys imported, targets parsed. */
export interface Client {
  readonly id: string;
  readonly keys: readonly BoundKey[];
  /** Of the keys, in the same order (RFC 7638). */
  readonly thumbprints: readonly string[];
  readonly allow: readonly AllowedTarget[];
  readonly pool: ReadonlySet<string> | undefined;
  readonly limits: ClientLimits;
  readonly quota: MonthsQuota | undefined;
}

const limit = z.optional(z.number().check(z.positive("must be more than 0")));

const schema = z.strictObject({
  id: z.string().check(z.regex(CLIENT_ID, "must be 1 to 63 characters of a-z, 0-9, - and _")),
  keys: z
    .array(
      z
        .looseObject({ kty: z.string() })
        .check(
          z.refine(
            (jwk) => algorithmOf(jwk) !== undefined && !("d" in jwk),
            "must be a public Ed25519 or P-256 JWK",
          ),
        ),
    )
    .check(
      z.minLength(1, "must hold at least one key"),
      z.maxLength(CLIENT_KEYS_MAX, `must hold at most ${CLIENT_KEYS_MAX} keys`),
    ),
  allow: z
    .array(
      z.string().check((context) => {
        try {
          parseAllowedTarget(context.value);
        } catch (error) {
          context.issues.push({
            code: "custom",
            message: `: ${(error as Error).message}`,
            input: context.value,
          });
        }
      }),
    )
    .check(z.maxLength(CLIENT_ALLOW_MAX, `must hold at most ${CLIENT_ALLOW_MAX} targets`)),
  pool: z.optional(z.array(z.string()).check(z.minLength(1, "must name at least one node"))),
  limits: z.optional(
    z.strictObject({
      requestsPerSecond: limit,
      concurrent: limit,
      bytesPerSecond: limit,
      streams: limit,
      streamIdleSeconds: limit,
      streamLifetimeSeconds: limit,
      scopeSeconds: limit,
    }),
  ),
  quota: z.optional(quotaSchema),
});

/**
 * Checks a client record and reports every problem at once.
 * @throws RelayError `request_invalid`
 */
export function parseClientRecord(value: unknown): ClientRecord {
  const result = z.safeParse(schema, value);
  if (result.success) return result.data;
  const problems = result.error.issues.map(
    (issue) => `${issue.path.join(".") || "the record"} ${tellIssue(issue)}`,
  );
  throw new RelayError("request_invalid", problems.join("; "));
}

/**
 * Makes a stored record usable; what can't be read refuses the client, never widens it.
 * @param used what the client has used, where its record has a quota
 */
export async function loadClient(record: ClientRecord, used?: Omit<MonthsQuota, "quota">): Promise<Client> {
  return {
    id: record.id,
    keys: await Promise.all(record.keys.map((jwk) => importPublicKey(jwk))),
    thumbprints: await Promise.all(record.keys.map((jwk) => calculateJwkThumbprint(jwk))),
    allow: record.allow.map((entry) => parseAllowedTarget(entry)),
    pool: record.pool === undefined ? undefined : new Set(record.pool),
    limits: record.limits ?? {},
    quota: record.quota && used && { quota: record.quota, ...used },
  };
}
