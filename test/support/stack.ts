import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Stack, type StackOptions, startStack } from "../../dev/stack.ts";
import { WORKER_DIR } from "./build-worker.ts";

/** A port that was free a moment ago. */
export async function freePort(host = "127.0.0.1"): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, host, done));
  const { port } = server.address() as { port: number };
  await new Promise((done) => server.close(done));
  return port;
}

/**
 * A whole stack of its own: workerd, two nodes as processes, a demonstration target; in a folder that goes with it.
 * @example const stack = await testStack({ allow: [`https://localhost:${port}`] });
 */
export async function testStack(
  options: Partial<Pick<StackOptions, "allow" | "edgeVars" | "nodeConfig" | "nodes">> = {},
): Promise<Stack & { readonly dir: string }> {
  const dir = mkdtempSync(join(tmpdir(), "holdfast-test-"));
  const [edgePort, targetPort, one, two] = [
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
      { id: "node-1", port: one, egress: "127.0.0.2" },
      { id: "node-2", port: two, egress: "127.0.0.3" },
    ],
    workerModule: join(WORKER_DIR, "index.js"),
    ...options,
    // Tests that are over have nobody to wait for.
    nodeConfig: { drainSeconds: 0, ...options.nodeConfig },
  });
  return {
    ...stack,
    dir,
    stop: async () => {
      await stack.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
