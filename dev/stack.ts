import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import type { Server } from "node:https";
import { join, resolve } from "node:path";
import { adminCall, type Operator } from "../client/admin.ts";
import { isRelayError } from "../protocol/errors.ts";
import { importPrivateKey } from "../protocol/keys.ts";
import { devAllow } from "./allow.ts";
import { startDemoTarget } from "./demo-target.ts";
import { OPERATOR_KEY_ID, writeDeployment, writeNodeFiles } from "./files.ts";
import { untilInService } from "./in-service.ts";
import { type DevKeys, devKeys, publicHalf } from "./keys.ts";
import { type DevProxy, proxyConfig, proxyUrls } from "./proxy.ts";
import { buildWorker, startWorkerd } from "./workerd.ts";

const ROOT = resolve(import.meta.dirname, "..");
const CLIENT_ID = "dev";

/**
 * How a node's runtime is started, in production too. A small young generation is collected often, and with it the
 * buffers that have passed through: at 200 bulk streams the process holds a fifth less.
 */
export const NODE_FLAGS = ["--max-semi-space-size=2"];

/**
 * Compiled code is kept between starts: a node starts faster, and without 25 MB for the compiler of types. One heap of glibc's
 * serves all its threads: what one of them gave back is there for the others, some 10 MB at 200 bulk streams.
 */
export const NODE_ENV = {
  NODE_COMPILE_CACHE: join(ROOT, ".holdfast/compile-cache"),
  MALLOC_ARENA_MAX: "1",
};

/** One node of a development stack. */
export interface DevNode {
  readonly id: string;
  readonly port: number;
  /** The loopback address that it calls from, also its published one. */
  readonly egress: string;
  /** Where its proxy door listens; it has none where this is left out. */
  readonly proxy?: DevProxy;
}

/** How a stack is laid out. All of it listens on loopback. */
export interface StackOptions {
  /** Folder for keys, state and logs. */
  readonly dir: string;
  readonly edgePort: number;
  readonly targetPort: number;
  readonly nodes: readonly DevNode[];
  /** Targets of the development client besides the demonstration target. */
  readonly allow?: readonly string[];
  /** A bundle made before; built where left out. */
  readonly workerModule?: string;
  /** Variables of the edge besides its own. */
  readonly edgeVars?: Readonly<Record<string, unknown>>;
  /** Settings laid over each node's configuration. */
  readonly nodeConfig?: Readonly<Record<string, unknown>>;
  /** Arguments for the nodes' runtime, besides the usual ones. */
  readonly nodeFlags?: readonly string[];
}

/** A running stack. */
export interface Stack {
  readonly edge: string;
  readonly target: string;
  readonly relayUrl: string;
  readonly keys: DevKeys;
  /** PEM file of the authority that all its certificates chain to. */
  readonly caFile: string;
  readonly operator: Operator;
  readonly nodes: readonly DevNode[];
  /** Sets what the development client may reach besides the demonstration target; an edge takes up to 10 s to see it. */
  allow(targets: readonly string[]): Promise<void>;
  readonly logs: { readonly edge: string; node(id: string): string };
  /** The process of a node, for those who mean to stop it. */
  process(id: string): ChildProcess;
  restartNode(id: string): Promise<void>;
  /** Starts the edge again, over what it has stored, once its process has ended. */
  startEdge(): Promise<void>;
  stop(): Promise<void>;
}

/** The layout of `npm start`: fixed ports, egress addresses of their own where the system has all of 127.0.0.0/8. */
export const DEV_NODES: readonly DevNode[] = [
  {
    id: "node-1",
    port: 9441,
    egress: process.platform === "linux" ? "127.0.0.2" : "127.0.0.1",
    proxy: { https: 9451, http: 9461, socks5: 9471 },
  },
  {
    id: "node-2",
    port: 9442,
    egress: process.platform === "linux" ? "127.0.0.3" : "127.0.0.1",
    proxy: { https: 9452, http: 9462, socks5: 9472 },
  },
];

/** Starts target, nodes and edge, registers the development client, and returns when all of it serves. */
export async function startStack(options: StackOptions): Promise<Stack> {
  const dir = resolve(options.dir);
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const keys = await devKeys(
    dir,
    options.nodes.map(({ id }) => id),
  );
  const caFile = join(dir, "ca.pem");
  writeFileSync(caFile, keys.ca);
  writeDeployment(dir, edgeOrigin(options), keys);
  const running = new Map<string, ChildProcess>();
  let target: Server | undefined;
  const stop = async () => {
    await Promise.all([...running.values()].map((child) => end(child)));
    target?.closeAllConnections();
    target?.close();
  };
  try {
    target = await startDemoTarget({
      host: "127.0.0.1",
      port: options.targetPort,
      cert: keys.cert,
      key: keys.key,
    });
    const startNode = async (node: DevNode) => {
      running.set(
        node.id,
        await startNodeProcess(
          dir,
          await writeNodeFiles(join(dir, node.id), node.id, keys, nodeConfig(node, keys, options)),
          node,
          options.nodeFlags,
        ),
      );
    };
    await Promise.all(options.nodes.map(startNode));
    const edge = edgeOrigin(options);
    const module = options.workerModule ?? (await buildWorker(join(dir, "worker")));
    const startItsEdge = async () => {
      running.set("edge", await startEdge(dir, module, options, keys));
    };
    await startItsEdge();
    await Promise.all(options.nodes.map((node) => untilInService(node, keys.ca)));
    const operator = { edge, keyId: OPERATOR_KEY_ID, key: await importPrivateKey(keys.operator.privateKey) };
    const targetOrigin = `https://localhost:${options.targetPort}`;
    const allow = (targets: readonly string[]) =>
      registerClient(operator, {
        id: CLIENT_ID,
        keys: [keys.client.publicJwk],
        allow: [targetOrigin, ...targets],
      });
    await allow(options.allow ?? devAllow());
    return {
      edge,
      target: targetOrigin,
      relayUrl: edge.replace("://", `://${CLIENT_ID}:${keys.client.privateKey}@`),
      keys,
      caFile,
      operator,
      allow,
      nodes: options.nodes,
      logs: { edge: join(dir, "edge.log"), node: (id) => join(dir, `${id}.log`) },
      process: (id) => running.get(id)!,
      restartNode: async (id) => {
        await end(running.get(id)!);
        const node = options.nodes.find((one) => one.id === id)!;
        await startNode(node);
        await untilInService(node, keys.ca);
      },
      startEdge: startItsEdge,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function nodeUrl(port: number): string {
  return `https://localhost:${port}`;
}

function edgeOrigin({ edgePort }: StackOptions): string {
  return `http://127.0.0.1:${edgePort}`;
}

function nodeConfig(node: DevNode, keys: DevKeys, options: StackOptions): Readonly<Record<string, unknown>> {
  return {
    edge: edgeOrigin(options),
    listen: { host: "127.0.0.1", port: node.port, cert: "cert.pem", key: "key.pem" },
    egress: egressOf(node, options),
    open: ["127.0.0.0/8"],
    peers: options.nodes
      .filter(({ id }) => id !== node.id)
      .map(({ id, port, egress }) => ({
        id,
        url: nodeUrl(port),
        key: publicHalf(keys.nodeSigningKeys[id]!),
        addresses: [egress],
      })),
    drainSeconds: 5,
    ...(node.proxy !== undefined && { proxy: proxyConfig(node.proxy) }),
    ...options.nodeConfig,
  };
}

type Egress = Readonly<Record<string, { readonly bind: string; readonly public: string }>>;

/** What a node leaves from, and what the edge publishes of it. */
function egressOf({ egress }: DevNode, { nodeConfig: settings }: StackOptions): Egress {
  return (settings?.["egress"] as Egress | undefined) ?? { ipv4: { bind: egress, public: egress } };
}

async function startNodeProcess(
  dir: string,
  config: string,
  node: DevNode,
  flags: readonly string[] = [],
): Promise<ChildProcess> {
  const logFile = join(dir, `${node.id}.log`);
  const log = openSync(logFile, "a", 0o600);
  const child = spawn(
    process.execPath,
    [...NODE_FLAGS, ...flags, join(ROOT, "relay-node/main.ts"), "--config", config],
    {
      env: { ...process.env, ...NODE_ENV },
      stdio: ["ignore", log, log, "ipc"],
    },
  );
  closeSync(log);
  await new Promise<void>((serving, failed) => {
    child.once("message", () => serving());
    child.once("exit", (code) => failed(new Error(`${node.id} ended with ${code}: ${lastLine(logFile)}`)));
    child.once("error", failed);
  });
  return child;
}

async function startEdge(
  dir: string,
  module: string,
  options: StackOptions,
  keys: DevKeys,
): Promise<ChildProcess> {
  const log = openSync(join(dir, "edge.log"), "a", 0o600);
  try {
    return await startWorkerd({
      module,
      dir: join(dir, "edge"),
      host: "127.0.0.1",
      port: options.edgePort,
      vars: {
        EDGE_ORIGIN: edgeOrigin(options),
        NODES: options.nodes.map((node) => ({
          id: node.id,
          url: nodeUrl(node.port),
          key: publicHalf(keys.nodeSigningKeys[node.id]!),
          addresses: Object.values(egressOf(node, options)).map((pair) => ({
            address: pair.public,
            since: "2026-01-01",
          })),
        })),
        OPERATOR_KEYS: { keys: [{ ...keys.operator.publicJwk, kid: OPERATOR_KEY_ID }] },
        ...(options.nodes.some(({ proxy }) => proxy !== undefined) && {
          PROXY_URLS: proxyUrls(options.nodes),
        }),
        ...options.edgeVars,
      },
      secrets: {
        GRANT_MASTER_KEY: keys.grantMasterKey,
        EDGE_SIGNING_KEY: JSON.stringify(keys.edgeSigningKey),
        STORAGE_KEYS: keys.storageKeys,
      },
      ca: keys.ca,
      output: log,
    });
  } catch (error) {
    throw new Error(`${(error as Error).message} ${lastLine(join(dir, "edge.log"))}`.trim(), {
      cause: error,
    });
  } finally {
    closeSync(log);
  }
}

async function registerClient(
  operator: Operator,
  record: { readonly id: string; readonly [key: string]: unknown },
): Promise<void> {
  const path = `/admin/clients/${record.id}`;
  const known = await adminCall(operator, "GET", path).catch((error: unknown) => {
    if (isRelayError(error) && error.code === "not_found") return undefined;
    throw error;
  });
  await adminCall(operator, "PUT", path, { body: record, ifMatch: known?.version });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((done) => child.once("exit", done));
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), 10_000);
  await ended;
  clearTimeout(timer);
}

function lastLine(file: string): string {
  return readFileSync(file, "utf8").trim().split("\n").at(-1) ?? "";
}
