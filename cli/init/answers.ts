import type { JWK } from "jose";
import * as z from "zod";
import { algorithmOf, CLIENT_ID } from "../../protocol/keys.ts";
import { parseAllowedTarget } from "../../protocol/targets.ts";
import { isPin, TLS_VERSIONS } from "../../protocol/tls-rules.ts";
import { clashes } from "./clashes.ts";
import { DRAIN_SECONDS_MAX, NODE_ID_MAX, NODE_PORT } from "./layout.ts";
import { defaultProxyName, PROXY_PORT, type ProxyAnswer, proxyPorts } from "./proxy.ts";

/** An address of a node's host. */
export interface AnsweredAddress {
  /** The one that the host has itself. */
  readonly bind: string;
  /** The one that targets see; another one behind a cloud's NAT. */
  readonly public: string;
  /** `YYYY-MM-DD`: the day from which it is left. */
  readonly until?: string | undefined;
}

/** An address that a node will leave from. */
export interface PlannedAddress {
  readonly address: string;
  /** `YYYY-MM-DD`, to come. */
  readonly since: string;
}

/** PEM files on the host. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

/** Settings of `node.json` that need no answer, handed on as they are. */
export interface NodeSettings {
  readonly nameServers?: readonly string[] | undefined;
  readonly open?: readonly string[] | undefined;
  readonly targetCa?: string | undefined;
  readonly relayCa?: string | undefined;
  readonly witnesses?: readonly string[] | undefined;
  readonly proofSeconds?: number | undefined;
  readonly logLevel?: string | undefined;
  readonly drainSeconds?: number | undefined;
}

/** One node, as the answers have it. */
export interface NodeAnswer {
  readonly id: string;
  /** The name under which the edge reaches it. */
  readonly host: string;
  readonly port: number;
  readonly region?: string | undefined;
  readonly ipv4?: AnsweredAddress | undefined;
  readonly ipv6?: AnsweredAddress | undefined;
  readonly planned: readonly PlannedAddress[];
  /** The address that it listens on; by default every one of the host's. */
  readonly listen?: string | undefined;
  readonly certificate?: CertificateFiles | undefined;
  readonly metricsPort?: number | undefined;
  /** Whether it opens the proxy door, where the deployment has one. */
  readonly proxy: boolean;
  readonly state?: string | undefined;
  readonly settings: NodeSettings;
}

/** One client, as the answers have it. */
export interface ClientAnswer {
  readonly id: string;
  readonly allow: readonly string[];
  readonly pool?: readonly string[] | undefined;
  readonly limits?: Readonly<Record<string, number>> | undefined;
  /** What is asked of TLS to its targets, as in the record; whether a `ca` can be read, the edge says. */
  readonly tls?: readonly object[] | undefined;
  readonly mode?: "enforce" | "report" | undefined;
  /** What it may use in a calendar month, as in the record. */
  readonly quota?: object | undefined;
  /** Platforms that vouch for it in place of a key, as in the record; which claims they need, the edge says. */
  readonly issuers?: readonly object[] | undefined;
  readonly bearer?: boolean | undefined;
  /** Public keys of a client that keeps its private one to itself; without them and `issuers` a key is made. */
  readonly keys?: readonly JWK[] | undefined;
}

/** An edge in workerd on a host of one's own. */
export interface SelfHosted {
  /** `host:port`. */
  readonly listen: string;
  /** Plain http, for a proxy in front, where it is left out. */
  readonly certificate?: CertificateFiles | "files" | undefined;
  readonly clientAddressHeader?: string | undefined;
  readonly state?: string | undefined;
  /** PEM file on the host: authorities that the nodes' certificates chain to, besides the public ones. */
  readonly ca?: string | undefined;
}

/** The answers, complete and checked. */
export interface Answers {
  readonly edge: string;
  readonly certificates: "files" | "caddy";
  readonly selfHosted?: SelfHosted | undefined;
  readonly nodes: readonly NodeAnswer[];
  readonly proxy?: ProxyAnswer | undefined;
  readonly clients: readonly ClientAnswer[];
  readonly settings: NodeSettings;
}

/** The answers can't be used; `problems` has a line for each thing to mend. */
export class AnswersError extends Error {
  override readonly name = "AnswersError";
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.problems = problems;
  }
}

const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/;

const edge = z.string().refine((value) => {
  const url = URL.parse(value);
  return url?.origin === value && (url.protocol === "https:" || LOOPBACK.test(url.hostname));
}, "must be an https origin without a path, as in https://edge.example.com");

/** Folders beside those of the nodes on a host. */
const RESERVED = ["edge", "tls", "caddy"];

const NODE_ID = new RegExp(`^[a-z0-9][a-z0-9-]{0,${NODE_ID_MAX - 1}}$`);

const id = z
  .string()
  .regex(NODE_ID, `must be 1 to ${NODE_ID_MAX} characters of a-z, 0-9 and -`)
  .refine((value) => !RESERVED.includes(value), `must be none of ${RESERVED.join(", ")}`);
const host = z
  .string()
  .regex(
    /^(?=.{1,253}$)(?=.*[a-z])[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/,
    "must be a host name in lower case: a worker reaches nodes by name",
  );
const port = z.int().min(1).max(65_535);
const path = z.string().min(1);
const certificate = z.strictObject({ cert: path, key: path });

/** One address alone is the same within and without. */
const addressOf = (ip: z.ZodType<string>) =>
  z.union([
    ip.transform((address): AnsweredAddress => ({ bind: address, public: address })),
    z.strictObject({ bind: ip, public: ip, until: z.iso.date().optional() }),
  ]);

const settings = z.strictObject({
  nameServers: z.array(z.string()).min(1).optional(),
  open: z.array(z.string()).optional(),
  targetCa: path.optional(),
  relayCa: path.optional(),
  witnesses: z.array(z.url({ protocol: /^https?$/ })).optional(),
  proofSeconds: z.number().min(1).optional(),
  logLevel: z.enum(["trace", "debug", "info", "warn", "error"]).optional(),
  drainSeconds: z
    .number()
    .min(0)
    .max(DRAIN_SECONDS_MAX, `must be at most ${DRAIN_SECONDS_MAX}: the units wait 75 s for a process to end`)
    .optional(),
});

const node = z
  .strictObject({
    id,
    host,
    port: port.default(NODE_PORT),
    region: z.string().min(1).optional(),
    ipv4: addressOf(z.ipv4()).optional(),
    ipv6: addressOf(z.ipv6()).optional(),
    planned: z
      .array(z.strictObject({ address: z.union([z.ipv4(), z.ipv6()]), since: z.iso.date() }))
      .default([]),
    listen: z.union([z.ipv4(), z.ipv6()]).optional(),
    certificate: certificate.optional(),
    metricsPort: z.int().min(0).max(65_535).optional(),
    proxy: z.boolean().default(true),
    state: path.optional(),
    settings: settings.default({}),
  })
  .refine((value) => value.ipv4 !== undefined || value.ipv6 !== undefined, "must have ipv4, ipv6 or both");

const target = z.string().superRefine((value, context) => {
  try {
    parseAllowedTarget(value);
  } catch (error) {
    context.addIssue({ code: "custom", message: (error as Error).message });
  }
});

const limit = z.number().positive().optional();

const amount = z.int().positive().optional();
const measure = z.strictObject({ soft: amount, hard: amount }).optional();

const client = z.strictObject({
  id: z.string().regex(CLIENT_ID, "must be 1 to 63 characters of a-z, 0-9, - and _"),
  allow: z.array(target).min(1, "must name at least one target"),
  pool: z.array(id).min(1).optional(),
  limits: z
    .strictObject({
      requestsPerSecond: limit,
      concurrent: limit,
      bytesPerSecond: limit,
      streams: limit,
      streamIdleSeconds: limit,
      streamLifetimeSeconds: limit,
      scopeSeconds: limit,
    })
    .transform((value) => value as Readonly<Record<string, number>>)
    .optional(),
  tls: z
    .array(
      z.strictObject({
        target,
        ca: z.string().optional(),
        pins: z
          .array(z.string().refine(isPin, "must be sha256/ and a public key's SHA-256 in base64"))
          .optional(),
        minVersion: z.enum(TLS_VERSIONS).optional(),
      }),
    )
    .optional(),
  mode: z.enum(["enforce", "report"]).optional(),
  quota: z.strictObject({ requests: measure, streamMinutes: measure, bytes: measure }).optional(),
  issuers: z
    .array(
      z.strictObject({
        issuer: z.string(),
        audience: z.string().optional(),
        claims: z.record(z.string(), z.string()),
      }),
    )
    .min(1, "must hold at least one issuer")
    .optional(),
  bearer: z.boolean().optional(),
  keys: z
    .array(
      z
        .looseObject({ kty: z.string() })
        .refine(
          (jwk) => algorithmOf(jwk) !== undefined && !("d" in jwk),
          "must be a public Ed25519 or P-256 JWK",
        ),
    )
    .min(1)
    .optional(),
});

const proxy = z
  .strictObject({
    name: host.optional(),
    https: z.union([port, z.literal(false)]).default(PROXY_PORT),
    http: port.optional(),
    socks5: port.optional(),
    certificate: z.union([z.literal("node"), certificate]).optional(),
  })
  .transform(({ https, ...rest }) => ({ ...rest, https: https === false ? undefined : https }))
  .refine((value) => proxyPorts(value).length > 0, "must open one of https, http and socks5");

const schema = z.strictObject({
  edge,
  certificates: z.enum(["files", "caddy"]).default("files"),
  selfHosted: z
    .strictObject({
      listen: z
        .string()
        .regex(/^(\*|[0-9.]+|\[[0-9a-f:]+\]):[1-9]\d{0,4}$/, "must be host:port, as in 0.0.0.0:443"),
      certificate: z.union([z.literal("files"), certificate]).optional(),
      clientAddressHeader: z.string().min(1).optional(),
      state: path.optional(),
      ca: path.optional(),
    })
    .optional(),
  nodes: z.array(node).min(1, "must list at least one node"),
  proxy: proxy.optional(),
  clients: z.array(client).default([]),
  settings: settings.default({}),
});

/**
 * Reads an answer file: JSON, in which lines that begin with `//` are comments.
 * @throws AnswersError with every problem at once
 */
export function parseAnswers(text: string): Answers {
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/^[ \t]*\/\/.*$/gm, ""));
  } catch (cause) {
    throw new AnswersError([`is not JSON: ${(cause as Error).message}`]);
  }
  const result = schema.safeParse(value, { reportInput: true });
  const problems = result.success ? [] : result.error.issues.flatMap((issue) => describe(issue));
  // What is readable by itself is compared with the rest also where another part is wrong.
  const nodes = itemsOf(value, "nodes").flatMap((item) => node.safeParse(item).data ?? []);
  const clients = itemsOf(value, "clients").flatMap((item) => client.safeParse(item).data ?? []);
  const nodeIds = itemsOf(value, "nodes").map((item) => (item as { id?: unknown } | null)?.id);
  const wanted = proxy.safeParse((value as { proxy?: unknown } | null)?.proxy).data;
  problems.push(...clashes(nodes, clients, nodeIds, wanted === undefined ? [] : proxyPorts(wanted)));
  const name = result.success ? (result.data.proxy?.name ?? defaultProxyName(result.data.edge)) : undefined;
  if (result.data?.proxy !== undefined && name === undefined) {
    problems.push("proxy.name: must be given, since the edge has no domain of its own");
  }
  if (!result.success || problems.length > 0) throw new AnswersError(problems);
  const { proxy: door, ...rest } = result.data;
  return { ...rest, ...(door !== undefined && { proxy: { ...door, name: name! } }) };
}

function itemsOf(value: unknown, name: "nodes" | "clients"): readonly unknown[] {
  const items = (value as Readonly<Record<string, unknown>> | null)?.[name];
  return Array.isArray(items) ? (items as unknown[]) : [];
}

function describe(issue: z.core.$ZodIssue): string[] {
  const where = issue.path.join(".") || "the answers";
  // Every branch of an address is wrong: the last one tells what an object needs, if an object was given.
  if (issue.code === "invalid_union" && issue.errors.length > 0) {
    const isObject = typeof issue.input === "object" && issue.input !== null;
    const branch = issue.errors[isObject ? issue.errors.length - 1 : 0]!;
    return branch.flatMap((inner) => describe({ ...inner, path: [...issue.path, ...inner.path] }));
  }
  const isScalar = ["string", "number", "boolean"].includes(typeof issue.input);
  const quoted = isScalar ? ` (is ${JSON.stringify(issue.input).slice(0, 100)})` : "";
  return [`${where}: ${issue.message}${quoted}`];
}
