import type { ChildProcess } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { adminCall, type Operator } from "../../client/admin.ts";
import { type DevKeys, devKeys, publicHalf } from "../../dev/keys.ts";
import { writeNodeFiles } from "../../dev/stack.ts";
import { startWorkerd } from "../../dev/workerd.ts";
import { importPrivateKey } from "../../protocol/keys.ts";
import { type Conversation, conversation } from "../support/conversation.ts";
import {
  EDGE_ORIGIN,
  HIDDEN_NODE,
  HOSTS,
  type Host,
  type NodePlace,
  POOL,
  PORT,
  TARGET_ORIGIN,
} from "./hosts.ts";
import { PROOF_SECONDS } from "./limits.ts";
import type { Network } from "./network.ts";
import { SupervisedNode } from "./supervised-node.ts";

/** What `run.ts` prepared outside of the namespaces, in one folder. */
export const PREPARED = {
  module: "worker/index.js",
  ca: "ca.pem",
  cert: "cert.pem",
  key: "key.pem",
} as const;

/** The whole relay, each part on its host. */
export interface ChaosStack {
  readonly network: Network;
  /** By id: the pool's two, and the one behind the NAT. */
  readonly nodes: ReadonlyMap<string, SupervisedNode>;
  /** Asked for what came to the target. */
  readonly target: Conversation;
  /** Asked to put a load on. */
  readonly load: Conversation;
  /** HOLDFAST_URL of a client whose pool is the one node behind the NAT. */
  readonly hiddenUrl: string;
  /** HOLDFAST_URL of the load's client. */
  readonly poolUrl: string;
  stop(): Promise<void>;
}

/**
 * Starts all of it.
 * @param dir the folder that `run.ts` prepared
 */
export async function startChaosStack(network: Network, dir: string): Promise<ChaosStack> {
  const places = [...POOL, HIDDEN_NODE];
  const keys = await keysOf(
    dir,
    places.map(({ id }) => id),
  );
  const processes: ChildProcess[] = [];
  const onHost = async (host: Host, module: string, args: readonly string[], env = process.env) => {
    const child = network.spawn(host, process.execPath, [join(import.meta.dirname, module), ...args], {
      env,
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    processes.push(child);
    await new Promise<void>((ready, failed) => {
      child.once("message", () => ready());
      child.once("exit", (code) => failed(new Error(`${module} ended with ${code}`)));
    });
    return conversation(child);
  };
  const [, target] = await Promise.all([
    onHost("dns", "dns.ts", []),
    onHost("target", "target.ts", [join(dir, PREPARED.cert), join(dir, PREPARED.key)]),
  ]);
  processes.push(await startEdge(network, dir, keys, places));
  const nodes = new Map<string, SupervisedNode>();
  for (const place of places) {
    const config = await writeNodeFiles(join(dir, place.id), place.id, keys, nodeConfig(place, keys));
    const node = new SupervisedNode(network, place, { config, log: join(dir, `${place.id}.log`) });
    nodes.set(place.id, node);
    node.start();
  }
  await Promise.all([...nodes.values()].map((node) => node.serving()));
  const operator = {
    edge: EDGE_ORIGIN,
    keyId: "operator",
    key: await importPrivateKey(keys.operator.privateKey),
  };
  const url = (client: string) => EDGE_ORIGIN.replace("://", `://${client}:${keys.client.privateKey}@`);
  await register(operator, "load", keys, POOL);
  await register(operator, "hidden", keys, [HIDDEN_NODE]);
  const load = await onHost("client", "load.ts", [], { ...process.env, HOLDFAST_URL: url("load") });
  return {
    network,
    nodes,
    target,
    load,
    poolUrl: url("load"),
    hiddenUrl: url("hidden"),
    async stop() {
      // A stopped process takes no SIGTERM.
      await Promise.all([...nodes.values()].map((node) => node.remove("SIGKILL")));
      for (const child of processes) child.kill("SIGKILL");
    },
  };
}

/** Keys of a stack of its own, with the certificate that stands for all names. */
async function keysOf(dir: string, nodeIds: readonly string[]): Promise<DevKeys> {
  const read = (name: string) => readFileSync(join(dir, name), "utf8");
  return {
    ...(await devKeys(join(dir, "keys"), nodeIds)),
    ca: read(PREPARED.ca),
    cert: read(PREPARED.cert),
    key: read(PREPARED.key),
  };
}

function nodeUrl({ id }: NodePlace): string {
  return `https://${id}.test`;
}

function nodeConfig(place: NodePlace, keys: DevKeys): Record<string, unknown> {
  const pool = POOL.includes(place) ? POOL : [];
  return {
    edge: EDGE_ORIGIN,
    listen: { host: place.bind, port: PORT, cert: "cert.pem", key: "key.pem" },
    egress: { ipv4: { bind: place.bind, public: place.public } },
    nameServers: [HOSTS.dns],
    // The range of the target, which is one for documentation.
    open: ["198.51.100.0/24"],
    peers: pool
      .filter((other) => other !== place)
      .map((other) => ({
        id: other.id,
        url: nodeUrl(other),
        key: publicHalf(keys.nodeSigningKeys[other.id]!),
        addresses: [other.public],
      })),
    proofSeconds: PROOF_SECONDS,
    drainSeconds: 5,
  };
}

async function startEdge(
  network: Network,
  dir: string,
  keys: DevKeys,
  places: readonly NodePlace[],
): Promise<ChildProcess> {
  const edgeDir = join(dir, "edge");
  mkdirSync(edgeDir, { recursive: true });
  const log = openSync(join(dir, "edge.log"), "a", 0o600);
  try {
    return await startWorkerd({
      module: join(dir, PREPARED.module),
      dir: edgeDir,
      host: HOSTS.edge,
      port: PORT,
      vars: {
        EDGE_ORIGIN,
        NODES: places.map((place) => ({
          id: place.id,
          url: nodeUrl(place),
          key: publicHalf(keys.nodeSigningKeys[place.id]!),
          addresses: [{ address: place.public, since: "2026-01-01" }],
        })),
        OPERATOR_KEYS: { keys: [{ ...keys.operator.publicJwk, kid: "operator" }] },
      },
      secrets: {
        GRANT_MASTER_KEY: keys.grantMasterKey,
        EDGE_SIGNING_KEY: JSON.stringify(keys.edgeSigningKey),
      },
      tls: { cert: keys.cert, key: keys.key },
      ca: keys.ca,
      output: log,
      runBy: network.on("edge"),
    });
  } finally {
    closeSync(log);
  }
}

async function register(
  operator: Operator,
  id: string,
  keys: DevKeys,
  pool: readonly NodePlace[],
): Promise<void> {
  await adminCall(operator, "PUT", `/admin/clients/${id}`, {
    body: { id, keys: [keys.client.publicJwk], allow: [TARGET_ORIGIN], pool: pool.map((node) => node.id) },
  });
}
