import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Stack, type StackOptions, startStack } from "../../dev/stack.ts";
import { WORKER_DIR } from "./build-worker.ts";

/** Below the ports that the system gives to outgoing connections, so that none of those can be in the way. */
const FIRST_PORT = 10_000;
const PORTS_PER_WORKER = 2_000;
const WORKERS = 10;

const worker = Number(process.env["VITEST_POOL_ID"] ?? 0) % WORKERS;
let ports = Math.floor(Math.random() * PORTS_PER_WORKER);

/** A port that nobody listens on. Test files that run at the same time draw from ranges of their own. */
export async function freePort(host = "127.0.0.1"): Promise<number> {
  for (;;) {
    const port = FIRST_PORT + worker * PORTS_PER_WORKER + (ports++ % PORTS_PER_WORKER);
    const server = createServer();
    const isFree = await new Promise<boolean>((done) => {
      server.once("error", () => done(false)).listen(port, host, () => done(true));
    });
    if (!isFree) continue;
    await new Promise((done) => server.close(done));
    return port;
  }
}

/**
 * A whole stack of its own: workerd, two nodes as processes, a demonstration target; in a folder that goes with it.
 * @example const stack = await testStack({ allow: [`https://localhost:${port}`] });
 */
export async function testStack(
  options: Partial<Pick<StackOptions, "allow" | "edgeVars" | "nodeConfig" | "nodeFlags" | "nodes">> = {},
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
