import { readFileSync } from "node:fs";
import { join } from "node:path";
import { adminCall, type Operator } from "../../client/admin.ts";
import { type DevKeys, devKeys, publicHalf } from "../../dev/keys.ts";
import { writeNodeFiles } from "../../dev/files.ts";
import { importPrivateKey } from "../../protocol/keys.ts";
import { HostedEdge } from "./hosted-edge.ts";
import { type NodePlace, SupervisedNode } from "./supervised-node.ts";
import type { Wire } from "./wire.ts";

/** What is prepared in the folder of a relay before it is started: the edge's bundle and a certificate for all names. */
export const PREPARED = {
  module: "worker/index.js",
  ca: "ca.pem",
  cert: "cert.pem",
  key: "key.pem",
} as const;

/** How a relay stands on a wire. */
export interface RelayPlan<Host extends string> {
  /** The folder that was prepared. */
  readonly dir: string;
  /** The edge's bundle, where it is not in that folder. */
  readonly module?: string;
  readonly edge: { readonly host: Host; readonly address: string; readonly origin: string };
  /** Where all of its parts listen; https. */
  readonly port: number;
  readonly nodes: readonly NodePlace<Host>[];
  /** Those among them that tell each other of used request ids. */
  readonly peers: readonly NodePlace<Host>[];
  /** Of every node, besides what follows from the plan. */
  readonly nodeConfig: Readonly<Record<string, unknown>>;
  /** Where each node's proxy door listens, by its own address; none unless told. */
  readonly proxy?: Readonly<Record<"https" | "http" | "socks5", number>>;
  /** Variables of the edge, besides what follows from the plan. */
  readonly edgeVars?: Readonly<Record<string, unknown>>;
}

/** A relay whose parts stand on hosts of their own. */
export interface HostedRelay<Host extends string> {
  readonly operator: Operator;
  readonly edge: HostedEdge;
  readonly nodes: ReadonlyMap<string, SupervisedNode<Host>>;
  /** HOLDFAST_URL of a client. */
  url(client: string): string;
  /** Registers a client; an edge that knew another record takes up to 10 s to see it. */
  register(id: string, record: Readonly<Record<string, unknown>>): Promise<void>;
  stop(): Promise<void>;
}

/** Starts the edge and the nodes; resolves when all of them serve. */
export async function startHostedRelay<Host extends string>(
  wire: Wire<Host>,
  plan: RelayPlan<Host>,
): Promise<HostedRelay<Host>> {
  const { dir } = plan;
  const keys = await keysOf(
    dir,
    plan.nodes.map(({ id }) => id),
  );
  const edge = edgeOf(wire, plan, keys);
  const nodes = new Map<string, SupervisedNode<Host>>();
  const stop = async () => {
    // A stopped process takes no SIGTERM.
    await Promise.all([edge.end("SIGKILL"), ...[...nodes.values()].map((node) => node.remove("SIGKILL"))]);
  };
  try {
    await edge.start();
    for (const place of plan.nodes) {
      const config = await writeNodeFiles(join(dir, place.id), place.id, keys, nodeConfig(place, plan, keys));
      const node = new SupervisedNode(wire, place, { config, log: join(dir, `${place.id}.log`) });
      nodes.set(place.id, node);
      node.start();
    }
    await Promise.all([...nodes.values()].map((node) => node.serving()));
  } catch (error) {
    await stop();
    throw error;
  }
  const operator: Operator = {
    edge: plan.edge.origin,
    keyId: "operator",
    key: await importPrivateKey(keys.operator.privateKey),
  };
  return {
    operator,
    edge,
    nodes,
    url: (client) => plan.edge.origin.replace("://", `://${client}:${keys.client.privateKey}@`),
    register: async (id, record) => {
      await adminCall(operator, "PUT", `/admin/clients/${id}`, {
        body: { id, keys: [keys.client.publicJwk], ...record },
      });
    },
    stop,
  };
}

/** Keys of a relay of its own, with the certificate that stands for all names. */
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

function nodeConfig(
  place: NodePlace,
  { edge, port, peers, proxy, nodeConfig: rest }: RelayPlan<string>,
  keys: DevKeys,
): Record<string, unknown> {
  return {
    edge: edge.origin,
    listen: { host: place.bind, port, cert: "cert.pem", key: "key.pem" },
    egress: { ipv4: { bind: place.bind, public: place.public } },
    peers: (peers.includes(place) ? peers : [])
      .filter((other) => other !== place)
      .map((other) => ({
        id: other.id,
        url: nodeUrl(other),
        key: publicHalf(keys.nodeSigningKeys[other.id]!),
        addresses: [other.public],
      })),
    ...(proxy !== undefined && {
      proxy: Object.fromEntries(
        Object.entries(proxy).map(([kind, proxyPort]) => [kind, { host: place.bind, port: proxyPort }]),
      ),
    }),
    ...rest,
  };
}

function edgeOf<Host extends string>(wire: Wire<Host>, plan: RelayPlan<Host>, keys: DevKeys): HostedEdge {
  return new HostedEdge(join(plan.dir, "edge"), {
    module: plan.module ?? join(plan.dir, PREPARED.module),
    host: plan.edge.address,
    port: plan.port,
    vars: {
      EDGE_ORIGIN: plan.edge.origin,
      NODES: plan.nodes.map((place) => ({
        id: place.id,
        url: nodeUrl(place),
        key: publicHalf(keys.nodeSigningKeys[place.id]!),
        addresses: [{ address: place.public, since: "2026-01-01" }],
      })),
      OPERATOR_KEYS: { keys: [{ ...keys.operator.publicJwk, kid: "operator" }] },
      ...plan.edgeVars,
    },
    secrets: {
      GRANT_MASTER_KEY: keys.grantMasterKey,
      STORAGE_KEYS: keys.storageKeys,
      EDGE_SIGNING_KEY: JSON.stringify(keys.edgeSigningKey),
    },
    tls: { cert: keys.cert, key: keys.key },
    ca: keys.ca,
    runBy: wire.on(plan.edge.host),
  });
}
