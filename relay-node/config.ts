import { createPrivateKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { JWK } from "jose";
import * as z from "zod";
import { RelayError } from "../protocol/errors.ts";
import { grantKeyBytes } from "../protocol/grants.ts";
import { parseCidr } from "./guard.ts";
import { PROOF_INTERVAL_MAX_SECONDS, SPARE_SECONDS_MAX, SPARES } from "./limits.ts";
import type { SpareBounds } from "./spares.ts";

/** An address of this host: the one it binds, and the one the world sees (they differ behind a cloud's NAT). */
export interface EgressAddress {
  readonly bind: string;
  readonly public: string;
}

/** Another node, as this one knows it. */
export interface Peer {
  readonly id: string;
  /** Origin of its listener. */
  readonly url: string;
  /** Its public Ed25519 JWK. */
  readonly key: JWK;
  /** Its published addresses: a node that shares one is on the same host. */
  readonly addresses: readonly string[];
}

/** Where the proxy door listens; each of the three may be left out. */
export interface ProxyConfig {
  /** HTTP proxy over TLS. */
  readonly https?: NodeConfig["listen"] | undefined;
  /** HTTP proxy in the clear: whoever listens on the way reads its users' passwords. */
  readonly http?: { readonly host: string; readonly port: number } | undefined;
  /** SOCKS 5, in the clear as well. */
  readonly socks5?: { readonly host: string; readonly port: number } | undefined;
  /** Whether other nodes of this host listen at the same ports: the system shares the connections out. */
  readonly reusePort?: boolean | undefined;
}

/** A node's configuration, complete and checked; paths are absolute. */
export interface NodeConfig {
  readonly id: string;
  /** The edge's origin: the issuer of every grant. */
  readonly edge: string;
  readonly listen: {
    readonly host: string;
    readonly port: number;
    readonly cert: string;
    readonly key: string;
  };
  /** The proxy door; none where it is left out. */
  readonly proxy?: ProxyConfig | undefined;
  /** Where Prometheus reads; loopback alone. Port 0 leaves it out. */
  readonly metrics: { readonly host: string; readonly port: number };
  readonly egress: { readonly ipv4?: EgressAddress | undefined; readonly ipv6?: EgressAddress | undefined };
  /** Name servers, `address` or `address:port`; the host's own where it is left out. */
  readonly nameServers?: readonly string[] | undefined;
  /** CIDR ranges that the address guard lets through although they are private or reserved. */
  readonly open: readonly string[];
  /** PEM file of authorities that targets' certificates may chain to, besides the public ones. */
  readonly targetCa?: string | undefined;
  /** Where else the node asks from which address it is seen: URLs that answer `{"address": "…"}`, as `/whoami` does. */
  readonly witnesses: readonly string[];
  /** How often the witnesses are asked while the address is proven, in seconds: how long a drift can go unseen. */
  readonly proofSeconds: number;
  /** The other nodes that its clients may leave from: they are told which request ids are used up. */
  readonly peers: readonly Peer[];
  /** PEM file of authorities that the edge's and the peers' certificates may chain to, besides the public ones. */
  readonly relayCa?: string | undefined;
  /** Private Ed25519 JWK, read from `signingKeyFile`: the node signs receipts and messages to its peers with it. */
  readonly signingKey: JWK;
  /** Folder for what must survive a kill: the consumed request ids. */
  readonly state: string;
  /** Grant keys, current and next, read from `grantKeyFiles`. */
  readonly grantKeys: readonly Uint8Array<ArrayBuffer>[];
  readonly logLevel: "trace" | "debug" | "info" | "warn" | "error";
  /** How long SIGTERM lets running requests finish, in seconds. */
  readonly drainSeconds: number;
  /** Connections to targets that are made ahead; the limits' own where it is left out. */
  readonly spares?: SpareBounds | undefined;
}

const ipv4Pair = z.strictObject({ bind: z.ipv4(), public: z.ipv4() });
const ipv6Pair = z.strictObject({ bind: z.ipv6(), public: z.ipv6() });
const port = z.int().min(0).max(65_535);

const cidr = z.string().superRefine((value, context) => {
  try {
    parseCidr(value);
  } catch (error) {
    context.addIssue({ code: "custom", message: (error as Error).message });
  }
});

const nodeId = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, "must be 1 to 63 characters of a-z, 0-9 and -");

const origin = z
  .string()
  .refine((value) => URL.parse(value)?.origin === value, "must be an origin, as in https://edge.example.com");

/** Files whose paths may be told. */
const PLAIN_FILES = [
  ["listen", "cert"],
  ["listen", "key"],
  ["proxy", "https", "cert"],
  ["proxy", "https", "key"],
  ["targetCa"],
  ["relayCa"],
] as const;

/** What a signing key's file holds: a private Ed25519 JWK. */
const signingJwk = z.object({
  kty: z.literal("OKP"),
  crv: z.literal("Ed25519"),
  x: z.string(),
  d: z.string(),
});

const host = z.union([z.ipv4(), z.ipv6()]);

const schema = z.strictObject({
  id: nodeId,
  edge: origin,
  listen: z.strictObject({ host, port, cert: z.string(), key: z.string() }),
  proxy: z
    .strictObject({
      https: z
        .strictObject({ host, port, cert: z.string().optional(), key: z.string().optional() })
        .refine(
          ({ cert, key }) => (cert === undefined) === (key === undefined),
          "must have both of cert and key, or none: those of listen are used then",
        )
        .optional(),
      http: z.strictObject({ host, port }).optional(),
      socks5: z.strictObject({ host, port }).optional(),
      reusePort: z.boolean().optional(),
    })
    .refine(
      ({ https, http, socks5 }) => (https ?? http ?? socks5) !== undefined,
      "must have https, http or socks5",
    )
    .optional(),
  metrics: z
    .strictObject({
      host: z
        .string()
        .refine((value) => /^127(\.\d{1,3}){3}$|^::1$/.test(value), "must be a loopback address"),
      port,
    })
    .default({ host: "127.0.0.1", port: 0 }),
  egress: z
    .strictObject({ ipv4: ipv4Pair.optional(), ipv6: ipv6Pair.optional() })
    .refine((value) => value.ipv4 !== undefined || value.ipv6 !== undefined, "must have ipv4, ipv6 or both"),
  nameServers: z.array(z.string()).min(1).optional(),
  open: z.array(cidr).default([]),
  targetCa: z.string().optional(),
  witnesses: z.array(z.url({ protocol: /^https?$/ })).default([]),
  proofSeconds: z.number().min(1).max(PROOF_INTERVAL_MAX_SECONDS).default(60),
  peers: z
    .array(
      z.strictObject({
        id: nodeId,
        url: origin.refine((value) => value.startsWith("https://"), "must begin with https://"),
        key: z.object({ kty: z.literal("OKP"), crv: z.literal("Ed25519"), x: z.string() }),
        addresses: z.array(z.union([z.ipv4(), z.ipv6()])),
      }),
    )
    .refine((peers) => new Set(peers.map(({ id }) => id)).size === peers.length, "must name each node once")
    .default([]),
  relayCa: z.string().optional(),
  signingKeyFile: z.string(),
  state: z.string(),
  grantKeyFiles: z
    .array(z.string())
    .min(1, "must name at least one file")
    .max(2, "must name at most two files: current and next"),
  logLevel: z.enum(["trace", "debug", "info", "warn", "error"]).default("info"),
  drainSeconds: z.number().min(0).max(600).default(30),
  spares: z
    .strictObject({
      inAll: z.int().min(0).max(1_000).default(SPARES.inAll),
      perClient: z.int().min(1).max(1_000).default(SPARES.perClient),
      seconds: z.number().min(1).max(SPARE_SECONDS_MAX).default(SPARES.seconds),
    })
    .optional(),
});

/**
 * Reads and checks a node's configuration file (JSON); relative paths are taken from the file's own folder. Every
 * problem is reported at once, the value quoted.
 *
 * @throws RelayError `request_invalid`
 */
export function readNodeConfig(file: string): NodeConfig {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, "utf8"));
  } catch (cause) {
    throw new RelayError("request_invalid", `${file}: ${(cause as Error).message}`, { cause });
  }
  const result = schema.safeParse(value, { reportInput: true });
  const problems = result.success ? [] : result.error.issues.map((issue) => describe(issue));
  const base = dirname(resolve(file));
  const read = (path: string, what: string): string | undefined => {
    try {
      return readFileSync(resolve(base, path), "utf8");
    } catch (cause) {
      // A secret's path is not quoted: somebody may have put the key itself there.
      const { code = "", message } = cause as NodeJS.ErrnoException;
      const isSecret = what === "grantKeyFiles" || what === "signingKeyFile";
      problems.push(`${what}: ${isSecret ? `a file can't be read (${code})` : message}`);
      return undefined;
    }
  };
  const grantKeys: Uint8Array<ArrayBuffer>[] = [];
  // Files are looked at also where another part is wrong, so that one run tells all there is to mend.
  const at = (...path: readonly string[]): unknown =>
    path.reduce<unknown>(
      (part, key) => (part as Readonly<Record<string, unknown>> | null | undefined)?.[key],
      value,
    );
  const keyFiles: unknown = at("grantKeyFiles");
  for (const path of Array.isArray(keyFiles) ? (keyFiles as unknown[]) : []) {
    const text = typeof path === "string" ? read(path, "grantKeyFiles") : undefined;
    try {
      if (text !== undefined) grantKeys.push(grantKeyBytes(text));
    } catch {
      problems.push("grantKeyFiles: a file does not hold 32 bytes in base64url");
    }
  }
  const signingFile = at("signingKeyFile");
  const signingText = typeof signingFile === "string" ? read(signingFile, "signingKeyFile") : undefined;
  const signingKey = signingText === undefined ? undefined : readSigningKey(signingText);
  if (signingText !== undefined && signingKey === undefined) {
    problems.push("signingKeyFile: the file does not hold a private Ed25519 JWK");
  }
  for (const path of PLAIN_FILES) {
    const name = at(...path);
    if (typeof name === "string") read(name, path.join("."));
  }
  if (!result.success || problems.length > 0 || signingKey === undefined) {
    throw new RelayError(
      "request_invalid",
      `${file}:\n${problems.map((problem) => `  ${problem}`).join("\n")}`,
    );
  }
  const { grantKeyFiles: _, signingKeyFile: __, proxy, ...config } = result.data;
  const cert = resolve(base, config.listen.cert);
  const key = resolve(base, config.listen.key);
  const https = proxy?.https && {
    ...proxy.https,
    cert: proxy.https.cert === undefined ? cert : resolve(base, proxy.https.cert),
    key: proxy.https.key === undefined ? key : resolve(base, proxy.https.key),
  };
  return {
    ...config,
    listen: { ...config.listen, cert, key },
    ...(proxy !== undefined && { proxy: { ...proxy, https } }),
    ...(config.targetCa !== undefined && { targetCa: resolve(base, config.targetCa) }),
    ...(config.relayCa !== undefined && { relayCa: resolve(base, config.relayCa) }),
    state: resolve(base, config.state),
    grantKeys,
    signingKey,
  };
}

function readSigningKey(text: string): JWK | undefined {
  try {
    const jwk = signingJwk.parse(JSON.parse(text));
    // It looks whether the halves belong together.
    createPrivateKey({ key: jwk, format: "jwk" });
    return jwk;
  } catch {
    // What it says may quote the key.
    return undefined;
  }
}

function describe(issue: z.core.$ZodIssue): string {
  const where = issue.path.join(".") || "the configuration";
  const quoted = issue.input === undefined ? "" : ` (is ${JSON.stringify(issue.input).slice(0, 100)})`;
  return `${where}: ${issue.message}${quoted}`;
}
