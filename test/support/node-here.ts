import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import pino from "pino";
import { readNodeConfig } from "../../relay-node/config.ts";
import { type NodeBounds, RelayNode } from "../../relay-node/node.ts";
import { eventually, logLines } from "./node-log.ts";
import { grantsFor, type NodeIdentity, type NodeProcess, prepareNode } from "./node-process.ts";
import { rawRequest, sendRaw } from "./raw-http.ts";

/** What tests of streams need of a node. */
export type GrantedNode = Pick<NodeProcess, "id" | "port" | "ca" | "claims" | "grant" | "log">;

/** A node in the test's own process, where its times can be set. */
export interface NodeHere extends GrantedNode {
  readonly relay: RelayNode;
  /** The value of a metric, its labels included in the name. */
  metric(name: string): Promise<number | undefined>;
  stop(): Promise<void>;
}

/** Starts a node here and waits until it is in service. */
export async function startNodeHere(
  bounds?: Partial<NodeBounds>,
  config: Readonly<Record<string, unknown>> = {},
  identity?: NodeIdentity,
): Promise<NodeHere> {
  const { id, dir, port, metricsPort, ca, key, witness } = await prepareNode(config, identity);
  const logFile = join(dir, "node.log");
  const log = pino({ level: "debug", base: { node: id } }, pino.destination({ dest: logFile, sync: true }));
  const relay = await RelayNode.start(readNodeConfig(join(dir, "node.json")), log, bounds);
  const get = (to: { port: number; ca?: string }, path: string) =>
    sendRaw(to, rawRequest(`GET ${path}`, ["Host: localhost", "Connection: close"]));
  await eventually(
    async () => (await get({ port, ca: ca.cert }, "/healthz"))?.status === 200,
    "the node is in service",
    20_000,
  );
  return {
    id,
    port,
    ca: ca.cert,
    relay,
    ...grantsFor(id, key),
    log: () => (readFileSync(logFile, "utf8") === "" ? [] : logLines(logFile)),
    async metric(name) {
      const line = (await get({ port: metricsPort }, "/metrics"))!.body
        .split("\n")
        .find((one) => one.startsWith(`${name} `));
      return line === undefined ? undefined : Number(line.slice(name.length + 1));
    },
    async stop() {
      // A drain closes it by itself.
      if (!relay.draining) await relay.close();
      await witness?.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
