import * as z from "zod/mini";
import { RelayError } from "../protocol/errors.ts";
import { type BoundKey, CLIENT_ID, importPublicKey } from "../protocol/keys.ts";
import { CLIENT_ALLOW_MAX } from "../protocol/limits.ts";
import type { Quota } from "../protocol/quota.ts";
import { type AllowedTarget, parseAllowedTarget } from "../protocol/targets.ts";
import { type ClientJwk, clientKeysSchema, thumbprintsOf } from "./client-keys.ts";
import { tellIssue } from "./issues.ts";
import {
  type IssuerRecord,
  type IssuerRule,
  issuersSchema,
  keylessProblems,
  loadIssuer,
  ruleIdsOf,
} from "./issuers.ts";
import { type PolicyMode, policyModeSchema } from "./policy-mode.ts";
import { type MonthsQuota, quotaSchema } from "./quota.ts";
import { loadTargetTls, type TargetTls, type TargetTlsRule, targetTlsSchema } from "./target-tls.ts";

/** A client as the registry stores it. */
export interface ClientRecord {
  readonly id: string;
  /** Public keys, current and next. There may be none where `issuers` vouch for it. */
  readonly keys: readonly ClientJwk[];
  /** Platforms that vouch for it in place of a key. */
  readonly issuers?: readonly IssuerRecord[] | undefined;
  /** Whether such a platform's token is taken as it is, where else it has to be exchanged for a certificate. */
  readonly bearer?: boolean | undefined;
  /** Targets, as `parseAllowedTarget` reads them. */
  readonly allow: readonly string[];
  /** Ids of the nodes that it may leave from; all nodes where it is left out. */
  readonly pool?: readonly string[] | undefined;
  /** Over the whole pool; each node gets its share. */
  readonly limits?: ClientLimits | undefined;
  /** What is asked of TLS to its targets, where the node opens it. */
  readonly tls?: readonly TargetTls[] | undefined;
  /** `enforce` where it is left out. */
  readonly mode?: PolicyMode | undefined;
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
  /** Of the keys, in the same order: milliseconds since 1970 from which on each verifies nothing; infinite for one that stays. */
  readonly keyEnds: readonly number[];
  readonly issuers: readonly IssuerRule[];
  /** Of the issuers, in the same order (`ruleId`). */
  readonly ruleIds: readonly string[];
  readonly bearer: boolean;
  readonly allow: readonly AllowedTarget[];
  readonly pool: ReadonlySet<string> | undefined;
  readonly limits: ClientLimits;
  /** For `tlsRulesFor`. */
  readonly tls: readonly TargetTlsRule[];
  readonly mode: PolicyMode;
  readonly quota: MonthsQuota | undefined;
}

const limit = z.optional(z.number().check(z.positive("must be more than 0")));

const schema = z.strictObject({
  id: z.string().check(z.regex(CLIENT_ID, "must be 1 to 63 characters of a-z, 0-9, - and _")),
  keys: clientKeysSchema,
  issuers: z.optional(issuersSchema),
  bearer: z.optional(z.boolean()),
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
  tls: z.optional(targetTlsSchema),
  mode: z.optional(policyModeSchema),
  quota: z.optional(quotaSchema),
});

/**
 * Checks a client record and reports every problem at once.
 * @throws RelayError `request_invalid`
 */
export function parseClientRecord(value: unknown): ClientRecord {
  const { data, error } = z.safeParse(schema, value);
  const problems = (error?.issues ?? []).map(
    (issue) => `${issue.path.join(".") || "the record"} ${tellIssue(issue)}`,
  );
  problems.push(...keylessProblems(value));
  if (data !== undefined && problems.length === 0) return data;
  throw new RelayError("request_invalid", problems.join("; "));
}

/**
 * Makes a stored record usable; what can't be read refuses the client, never widens it.
 * @param used what the client has used, where its record has a quota
 */
export async function loadClient(record: ClientRecord, used?: Omit<MonthsQuota, "quota">): Promise<Client> {
  const keys = await Promise.all(record.keys.map((jwk) => importPublicKey(jwk)));
  const named = await thumbprintsOf(record.keys);
  return {
    id: record.id,
    keys,
    thumbprints: named.map(({ key }) => key),
    keyEnds: named.map(({ exp }) => (exp === null ? Infinity : exp * 1_000)),
    issuers: (record.issuers ?? []).map((rule) => loadIssuer(rule)),
    ruleIds: await ruleIdsOf(record),
    bearer: record.bearer ?? false,
    allow: record.allow.map((entry) => parseAllowedTarget(entry)),
    pool: record.pool === undefined ? undefined : new Set(record.pool),
    limits: record.limits ?? {},
    tls: loadTargetTls(record.tls ?? []),
    mode: record.mode ?? "enforce",
    quota: record.quota && used && { quota: record.quota, ...used },
  };
}
