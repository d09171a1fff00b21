import { calculateJwkThumbprint } from "jose";
import { join } from "node:path";
import { type Stack, startStack } from "../../dev/stack.ts";
import { freePort } from "../../test/support/stack.ts";
import { workerModule } from "../made-once.ts";
import { CORES, pin } from "../processes.ts";
import { type GrantMaker, grantKeyOf } from "./requests.ts";

const NODE = "node-1";

/** The node that is measured, in a relay that is whole: the edge in workerd and a second node stand beside the driver. */
export interface MeasuredNode {
  readonly stack: Stack;
  readonly maker: GrantMaker;
  readonly host: string;
  readonly port: number;
  readonly pid: number;
  /** What it and its peers listen by. */
  readonly certificate: { readonly cert: string; readonly key: string };
}

export async function startMeasuredNode(dir: string): Promise<MeasuredNode> {
  const [edgePort, targetPort, port, other] = [
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
  ];
  const stack = await startStack({
    dir,
    edgePort,
    targetPort,
    nodes: [
      { id: NODE, port, egress: "127.0.0.2" },
      { id: "node-2", port: other, egress: "127.0.0.3" },
    ],
    workerModule: await workerModule(),
    nodeConfig: { drainSeconds: 0 },
  });
  const { pid } = stack.process(NODE);
  pin(pid!, CORES.measured);
  for (const beside of ["node-2", "edge"]) pin(stack.process(beside).pid!, CORES.driver);
  const { grantMasterKey, client } = stack.keys;
  const files = join(dir, NODE);
  return {
    stack,
    host: "127.0.0.1",
    port,
    pid: pid!,
    certificate: { cert: join(files, "cert.pem"), key: join(files, "key.pem") },
    maker: {
      edge: stack.edge,
      nodeId: NODE,
      clientId: "dev",
      clientKey: await calculateJwkThumbprint(client.publicJwk),
      key: await grantKeyOf(grantMasterKey, NODE),
    },
  };
}
