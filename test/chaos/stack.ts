import { join } from "node:path";
import type { Conversation } from "../support/conversation.ts";
import { PREPARED, startHostedRelay } from "../support/hosted-relay.ts";
import { type ModuleOnHost, startModule } from "../support/module-on-host.ts";
import type { SupervisedNode } from "../support/supervised-node.ts";
import { EDGE_ORIGIN, HIDDEN_NODE, HOSTS, NAMES, POOL, PORT, TARGET_ORIGIN } from "./hosts.ts";
import { PROOF_SECONDS } from "./limits.ts";
import type { AnyHost, Network } from "./network.ts";

/** The whole relay, each part on its host. */
export interface ChaosStack {
  readonly network: Network;
  /** By id: the pool's two, and the one behind the NAT. */
  readonly nodes: ReadonlyMap<string, SupervisedNode<AnyHost>>;
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
  const modules: ModuleOnHost[] = [];
  const start = async (...[host, name, args, env]: [AnyHost, string, string[], NodeJS.ProcessEnv?]) => {
    const module = await startModule(network, host, join(import.meta.dirname, name), args, env);
    modules.push(module);
    return module;
  };
  const [, target] = await Promise.all([
    start("dns", "../support/name-server.ts", [HOSTS.dns, JSON.stringify(NAMES)]),
    start("target", "target.ts", [join(dir, PREPARED.cert), join(dir, PREPARED.key)]),
  ]);
  const relay = await startHostedRelay<AnyHost>(network, {
    dir,
    edge: { host: "edge", address: HOSTS.edge, origin: EDGE_ORIGIN },
    port: PORT,
    nodes: [...POOL, HIDDEN_NODE],
    peers: POOL,
    nodeConfig: {
      nameServers: [HOSTS.dns],
      // The range of the target, which is one for documentation.
      open: ["198.51.100.0/24"],
      proofSeconds: PROOF_SECONDS,
      drainSeconds: 5,
    },
  });
  const allow = [TARGET_ORIGIN];
  await relay.register("load", { allow, pool: POOL.map(({ id }) => id) });
  await relay.register("hidden", { allow, pool: [HIDDEN_NODE.id] });
  const load = await start("client", "load.ts", [], { ...process.env, HOLDFAST_URL: relay.url("load") });
  return {
    network,
    nodes: relay.nodes,
    target,
    load,
    poolUrl: relay.url("load"),
    hiddenUrl: relay.url("hidden"),
    async stop() {
      await relay.stop();
      for (const { process: child } of modules) child.kill("SIGKILL");
    },
  };
}
