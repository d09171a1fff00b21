import { base64url, type JWK } from "jose";
import * as z from "zod/mini";
import { RelayError } from "../protocol/errors.ts";
import { isFieldName } from "../protocol/headers.ts";
import { algorithmOf } from "../protocol/keys.ts";
import { parseTargetUrl } from "../protocol/targets.ts";
import { tellIssue } from "./issues.ts";
import { isSecure } from "./loopback.ts";
import type { Place } from "./order.ts";

/** One relay node as the edge knows it. */
export interface EdgeNode {
  readonly id: string;
  /** Origin of the node's own listener. */
  readonly url: string;
  readonly region: string | undefined;
  /** Public Ed25519 JWK: what the node signs receipts with. */
  readonly key: JWK;
  /** The addresses that targets see, as published. */
  readonly addresses: readonly PublishedAddress[];
}

/** An address that targets may list. Dates are `YYYY-MM-DD`, from or to the beginning of that day, UTC. */
export interface PublishedAddress {
  readonly address: string;
  /** Since when requests leave from it; a day to come is a planned change. */
  readonly since: string;
  /** The day from which no request leaves from it any more. */
  readonly until?: string | undefined;
}

/** The worker's configuration, complete and checked. */
export interface EdgeConfig {
  /** The edge's own origin. */
  readonly origin: string;
  readonly nodes: readonly EdgeNode[];
  /** The nodes' region that is the nearest to this edge, where the edge runs in one place. */
  readonly region: string | undefined;
  /** Where the nodes' regions are. */
  readonly regions: ReadonlyMap<string, Place>;
  /** Lower-case name of the field in which a proxy in front tells the caller's address. */
  readonly clientAddressHeader: string | undefined;
  /** Where the nodes' proxy doors are reached, without credentials: `https://proxy.example.com:9443`. */
  readonly proxyUrls: readonly string[];
  readonly grantMasterKey: Uint8Array<ArrayBuffer>;
  /** Private Ed25519 JWK. */
  readonly signingKey: JWK;
  /** What seals at rest, the current key first; there may be none, and then nothing is stored that has to be sealed. */
  readonly storageKeys: readonly Uint8Array<ArrayBuffer>[];
  /** Public JWKs of those who may call `/admin`, by kid. */
  readonly operatorKeys: ReadonlyMap<string, JWK>;
}

const NODE_ID = /^[a-z0-9][a-z0-9-]{0,62}$/;

/** Vars come as text from the environment and as objects from wrangler.toml. */
const json = z.transform((value: unknown, context) => {
  if (typeof value !== "string") return value;
  try {
    return JSON.parse(value) as unknown;
  } catch {
    context.issues.push({ code: "custom", message: "is not valid JSON", input: value });
    return z.NEVER;
  }
});

const origin = z.string().check(
  z.refine((value) => {
    const url = URL.parse(value);
    return url?.origin === value && isSecure(url);
  }, "must be an https origin without path (http only for a loopback host)"),
);

const proxyUrl = z
  .string()
  .check(
    z.refine(
      isProxyUrl,
      "must be an https, http or socks5h URL of a host and port, without credentials and without path",
    ),
  );

/** The host and port are judged as a target's are. */
function isProxyUrl(value: string): boolean {
  const authority = /^(?:https|http|socks5h):\/\/([^/?#]+)$/.exec(value)?.[1];
  try {
    return authority !== undefined && parseTargetUrl(`http://${authority}`).path === "/";
  } catch {
    return false;
  }
}

const address = z.union([z.ipv4(), z.ipv6()], { error: "is no IP address" });

/** A function: what is below uses it before it would be there. */
function publicKeyCheck(message: string) {
  return z.refine<JWK>((jwk) => algorithmOf(jwk) !== undefined && !("d" in jwk), message);
}

const node = z.strictObject({
  id: z.string().check(z.regex(NODE_ID, "must be 1 to 63 characters of a-z, 0-9 and -")),
  url: origin,
  region: z.optional(z.string()),
  key: z.looseObject({ kty: z.string() }).check(publicKeyCheck("must be a public Ed25519 JWK")),
  addresses: z
    .array(z.strictObject({ address, since: z.iso.date(), until: z.optional(z.iso.date()) }))
    .check(z.minLength(1, "must list at least one address")),
});

const unique = <T>(of: (item: T) => string, what: string) =>
  z.refine<readonly T[]>((items) => new Set(items.map(of)).size === items.length, `holds one ${what} twice`);

const publicKey = z
  .looseObject({ kid: z.string(), kty: z.string() })
  .check(publicKeyCheck("must be public Ed25519 or P-256 JWKs"));

const schema = z.object({
  EDGE_ORIGIN: origin,
  NODES: z.pipe(
    json,
    z.array(node).check(
      z.minLength(1, "must list at least one node"),
      unique((item) => item.id, "id"),
    ),
  ),
  EDGE_REGION: z.optional(z.string()),
  REGIONS: z.optional(
    z.pipe(
      json,
      z.record(
        z.string(),
        z.strictObject({
          latitude: z.number().check(z.minimum(-90), z.maximum(90)),
          longitude: z.number().check(z.minimum(-180), z.maximum(180)),
        }),
      ),
    ),
  ),
  CLIENT_ADDRESS_HEADER: z.optional(
    z.string().check(z.refine((value) => isFieldName(value), "must be a field's name")),
  ),
  PROXY_URLS: z.optional(z.pipe(json, z.array(proxyUrl).check(unique((url) => url, "URL")))),
  GRANT_MASTER_KEY: z.string().check(
    z.refine(
      // No base64 leaves one character over.
      (value) => /^[A-Za-z0-9_-]{43,}$/.test(value) && value.length % 4 !== 1,
      "must be at least 32 random bytes in base64url",
    ),
  ),
  EDGE_SIGNING_KEY: z.pipe(
    json,
    z.looseObject({ kty: z.literal("OKP"), crv: z.literal("Ed25519"), d: z.string(), x: z.string() }),
  ),
  STORAGE_KEYS: z.optional(
    z
      .string()
      .check(
        z.regex(
          /^[A-Za-z0-9_-]{43}(?:,[A-Za-z0-9_-]{43})?$/,
          "must be one or two times 32 random bytes in base64url, with a comma in between",
        ),
      ),
  ),
  OPERATOR_KEYS: z.pipe(json, z.object({ keys: z.array(publicKey).check(unique((jwk) => jwk.kid, "kid")) })),
});

/** Names whose values must never be quoted in a message. Operators' keys are public, until a private one is put there. */
const SECRET = new Set(["GRANT_MASTER_KEY", "EDGE_SIGNING_KEY", "STORAGE_KEYS", "OPERATOR_KEYS"]);

/** A value's JSON without what stands before the @ of a URL: it may be a password. */
export function withoutUserInfo(text: string): string {
  return text.replace(/:\/\/(?:[^"\\]|\\.)*@/g, "://…@");
}

/**
 * Checks a worker's environment and reports every problem at once.
 *
 * @throws RelayError `edge_misconfigured`; the detail names each variable that is wrong, secrets unquoted
 */
export function parseEdgeConfig(env: Readonly<Record<string, unknown>>): EdgeConfig {
  const result = z.safeParse(schema, env);
  if (!result.success) {
    const problems = result.error.issues.map((issue) => {
      const { path } = issue;
      const [name, ...rest] = path.map(String);
      const where = [name, ...rest].join(".");
      const value = path.reduce<unknown>(
        (at, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key],
        env,
      );
      const quoted =
        SECRET.has(name ?? "") || value === undefined
          ? ""
          : ` (is ${withoutUserInfo(JSON.stringify(value)).slice(0, 80)})`;
      return value === undefined && rest.length === 0
        ? `${where} is not set`
        : `${where} ${tellIssue(issue)}${quoted}`;
    });
    throw new RelayError("edge_misconfigured", problems.join("; "));
  }
  const { EDGE_ORIGIN, NODES, EDGE_REGION, REGIONS, CLIENT_ADDRESS_HEADER, PROXY_URLS } = result.data;
  const { GRANT_MASTER_KEY, EDGE_SIGNING_KEY, STORAGE_KEYS, OPERATOR_KEYS } = result.data;
  return {
    origin: EDGE_ORIGIN,
    nodes: NODES.map(({ id, url, region, key, addresses }) => ({ id, url, region, key, addresses })),
    region: EDGE_REGION,
    regions: new Map(Object.entries(REGIONS ?? {})),
    clientAddressHeader: CLIENT_ADDRESS_HEADER?.toLowerCase(),
    proxyUrls: PROXY_URLS ?? [],
    grantMasterKey: Uint8Array.from(base64url.decode(GRANT_MASTER_KEY)),
    signingKey: EDGE_SIGNING_KEY,
    storageKeys: (STORAGE_KEYS?.split(",") ?? []).map((key) => Uint8Array.from(base64url.decode(key))),
    operatorKeys: new Map(OPERATOR_KEYS.keys.map((jwk) => [jwk.kid, jwk])),
  };
}
