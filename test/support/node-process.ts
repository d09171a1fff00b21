import { type ChildProcess, spawn } from "node:child_process";
import { generateKeyPairSync, type KeyObject, randomBytes } from "node:crypto";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createCa, issueCertificate } from "../../dev/certificates.ts";
import { encodeSection, sectionToWire } from "../../protocol/envelope.ts";
import type { Field } from "../../protocol/headers.ts";
import { newRequestId } from "../../protocol/tokens.ts";
import { compact, hmac, type Signer } from "./compact-jws.ts";
import { eventually, logLines } from "./node-log.ts";
import { type RawAnswer, rawRequest, sendRaw } from "./raw-http.ts";
import { freePort } from "./stack.ts";
import { startWitness, type Witness } from "./witness.ts";

const MAIN = resolve(import.meta.dirname, "../../relay-node/main.ts");

/** The edge's origin in these tests: nothing listens there. */
export const EDGE = "https://edge.example.com";

/** Who a node is, where that has to be known before it starts: its peers have to know it. */
export interface NodeIdentity {
  readonly id: string;
  readonly port: number;
  readonly ca: Awaited<ReturnType<typeof createCa>>;
  readonly signingKey: KeyObject;
}

/** @param ca what issues its certificate; one of its own where left out */
export async function nodeIdentity(id: string, ca?: NodeIdentity["ca"]): Promise<NodeIdentity> {
  return {
    id,
    port: await freePort(),
    ca: ca ?? (await createCa("Node test CA")),
    signingKey: generateKeyPairSync("ed25519").privateKey,
  };
}

/** An entry of a node's `peers`. */
export function peerEntry({ id, port, signingKey }: NodeIdentity): Record<string, unknown> {
  const { kty, crv, x } = signingKey.export({ format: "jwk" });
  return { id, url: `https://localhost:${port}`, key: { kty, crv, x }, addresses: ["127.0.0.2"] };
}

/** Two nodes of one pool. */
export async function startNodePair(): Promise<readonly [NodeProcess, NodeProcess]> {
  const one = await nodeIdentity("node-1");
  const two = await nodeIdentity("node-2", one.ca);
  return Promise.all([
    startNodeProcess({ peers: [peerEntry(two)], relayCa: "ca.pem" }, one),
    startNodeProcess({ peers: [peerEntry(one)], relayCa: "ca.pem" }, two),
  ]);
}

/** What is changed of a request that a node would relay. */
export interface NodeAsk {
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly header?: Readonly<Record<string, unknown>>;
  readonly signer?: Signer;
  /** Whole Relay-Authorization lines in place of the grant's. */
  readonly authorization?: readonly string[];
  readonly line?: string;
  readonly fields?: readonly Field[];
  readonly lines?: readonly string[];
  readonly body?: string;
}

/** One node as a process of its own, without an edge: the test signs the grants. */
export interface NodeProcess {
  readonly id: string;
  readonly dir: string;
  readonly port: number;
  readonly metricsPort: number;
  readonly ca: string;
  readonly tls: { readonly cert: string; readonly key: string };
  readonly key: Buffer;
  readonly logFile: string;
  process(): ChildProcess;
  isAlive(): boolean;
  claims(changes?: NodeAsk["claims"]): Record<string, unknown>;
  grant(ask?: NodeAsk): string;
  /** The bytes of `POST /fetch` with a grant. */
  bytes(ask?: NodeAsk): string;
  ask(ask?: NodeAsk): Promise<RawAnswer | undefined>;
  get(path: string): Promise<RawAnswer | undefined>;
  log(): Record<string, unknown>[];
  /** Ends the process, by SIGKILL where nothing else is named, and leaves the files. */
  end(signal?: NodeJS.Signals): Promise<void>;
  /** Starts the process again; one that runs is killed first. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** A node's files, and what tells it the truth about its address. */
export interface PreparedNode {
  readonly id: string;
  readonly dir: string;
  readonly port: number;
  readonly metricsPort: number;
  readonly ca: NodeIdentity["ca"];
  readonly tls: { readonly cert: string; readonly key: string };
  readonly key: Buffer;
  /** What stands in `node.json`. */
  readonly complete: Readonly<Record<string, unknown>>;
  readonly witness: Witness | undefined;
}

/** Writes a node's files; what `config` names is laid over its configuration. */
export async function prepareNode(
  config: Readonly<Record<string, unknown>> = {},
  identity?: NodeIdentity,
): Promise<PreparedNode> {
  const { id, port, ca, signingKey } = identity ?? (await nodeIdentity("node-1"));
  const dir = mkdtempSync(join(tmpdir(), "holdfast-node-"));
  const tls = await issueCertificate(ca, { dns: ["localhost"], ip: ["127.0.0.1"] });
  const key = randomBytes(32);
  const metricsPort = await freePort();
  const witness = "witnesses" in config ? undefined : await startWitness();
  const files = {
    "cert.pem": tls.cert,
    "key.pem": tls.key,
    "ca.pem": ca.cert,
    "grant.key": key.toString("base64url"),
    "signing.jwk": JSON.stringify(signingKey.export({ format: "jwk" })),
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text, { mode: 0o600 });
  const complete = {
    id,
    edge: EDGE,
    listen: { host: "127.0.0.1", port, cert: "cert.pem", key: "key.pem" },
    metrics: { host: "127.0.0.1", port: metricsPort },
    egress: { ipv4: { bind: "127.0.0.2", public: "127.0.0.2" } },
    nameServers: ["127.0.0.1:1"],
    open: ["127.0.0.0/8"],
    targetCa: "ca.pem",
    signingKeyFile: "signing.jwk",
    state: "state",
    grantKeyFiles: ["grant.key"],
    witnesses: witness === undefined ? [] : [witness.url],
    ...config,
  };
  writeFileSync(join(dir, "node.json"), JSON.stringify(complete));
  return { id, dir, port, metricsPort, ca, tls, key, complete, witness };
}

/**
 * Starts a node and waits until it is in service, with a witness that tells the truth; what `config` names is laid over its
 * configuration. Targets with certificates of `ca` are trusted.
 *
 * With `witnesses` of the test's own it is not waited for.
 */
export async function startNodeProcess(
  config: Readonly<Record<string, unknown>> = {},
  identity?: NodeIdentity,
): Promise<NodeProcess> {
  const prepared = await prepareNode(config, identity);
  const { id, dir, port, metricsPort, ca, tls, key, complete, witness } = prepared;
  const logFile = join(dir, "node.log");
  let child = await launch(dir, logFile);
  const inService = async () => {
    if (witness === undefined) return;
    const listen = complete["listen"] as { port: number };
    const line = rawRequest("GET /healthz", ["Host: localhost", "Connection: close"]);
    await eventually(
      async () => (await sendRaw({ port: listen.port, ca: ca.cert }, line))?.status === 200,
      "the node is in service",
      20_000,
    );
  };
  const grants = grantsFor(id, key);
  const node: NodeProcess = {
    id,
    dir,
    port,
    metricsPort,
    ca: ca.cert,
    tls,
    key,
    logFile,
    process: () => child,
    isAlive: () => child.exitCode === null && child.signalCode === null,
    claims: grants.claims,
    grant: grants.grant,
    bytes(ask = {}) {
      const lines = [
        "Host: localhost",
        "Connection: close",
        ...(ask.authorization ?? [`Relay-Authorization: Bearer ${node.grant(ask)}`]),
        "Relay-Envelope: 1",
        ...sectionToWire(encodeSection(ask.fields ?? [])).map(([name, value]) => `${name}: ${value}`),
        ...(ask.lines ?? (ask.body === undefined ? [] : [`Content-Length: ${ask.body.length}`])),
      ];
      return rawRequest(ask.line ?? "POST /fetch", lines, ask.body);
    },
    ask: (ask) => sendRaw({ port, ca: ca.cert }, node.bytes(ask)),
    get: (path) =>
      sendRaw({ port, ca: ca.cert }, rawRequest(`GET ${path}`, ["Host: localhost", "Connection: close"])),
    log: () => logLines(logFile),
    end: (signal = "SIGKILL") => end(child, signal),
    async restart() {
      await end(child, "SIGKILL");
      child = await launch(dir, logFile);
      await inService();
    },
    async stop() {
      await end(child, "SIGKILL");
      await witness?.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
  await inService();
  return node;
}

/** Makes grants for a node, as its edge would. */
export function grantsFor(id: string, key: Buffer): Pick<NodeProcess, "claims" | "grant"> {
  const now = () => Math.floor(Date.now() / 1_000);
  const claims: NodeProcess["claims"] = (changes) => ({
    iss: EDGE,
    aud: id,
    sub: "app",
    act: "fetch",
    iat: now(),
    exp: now() + 30,
    jti: newRequestId(),
    tat: now(),
    htm: "GET",
    url: "http://127.0.0.1:9/",
    framing: "none",
    pass: randomBytes(8).toString("base64url"),
    attempt: 0,
    ...changes,
  });
  return {
    claims,
    grant: (ask = {}) =>
      compact(
        { alg: "HS256", typ: "holdfast-grant+jwt", ...ask.header },
        claims(ask.claims),
        ask.signer ?? hmac(key),
      ),
  };
}

async function launch(dir: string, logFile: string): Promise<ChildProcess> {
  const log = openSync(logFile, "a", 0o600);
  const child = spawn(process.execPath, [MAIN, "--config", join(dir, "node.json")], {
    stdio: ["ignore", log, log, "ipc"],
  });
  closeSync(log);
  await new Promise<void>((serving, failed) => {
    child.once("message", () => serving());
    child.once("exit", (code) =>
      failed(new Error(`the node ended with ${code}: ${readFileSync(logFile, "utf8")}`)),
    );
  });
  return child;
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill(signal);
  await gone;
}
