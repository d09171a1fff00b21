import { once } from "node:events";
import { mkdtempSync, openSync, closeSync, rmSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { adminCall } from "../../client/admin.ts";
import { devKeys, publicHalf } from "../../dev/keys.ts";
import { startWorkerd } from "../../dev/workerd.ts";
import { importPrivateKey } from "../../protocol/keys.ts";
import { WORKER_DIR } from "./build-worker.ts";
import { freePort } from "./stack.ts";

/** An edge whose only node is a server of the test's. */
export interface FakeNode {
  readonly edge: string;
  readonly relayUrl: string;
  /** What the next requests at the node's address are answered with. */
  answer: (request: IncomingMessage, response: ServerResponse) => void;
  stop(): Promise<void>;
}

/** @param allow the client's targets */
export async function startFakeNode(allow: readonly string[]): Promise<FakeNode> {
  const dir = mkdtempSync(join(tmpdir(), "holdfast-test-"));
  const keys = await devKeys(dir, ["node-1"]);
  const [edgePort, nodePort] = [await freePort(), await freePort()];
  const edge = `http://127.0.0.1:${edgePort}`;
  const server = createServer({ cert: keys.cert, key: keys.key }, (request, response) => {
    request.resume();
    fake.answer(request, response);
  });
  server.listen(nodePort, "127.0.0.1");
  await once(server, "listening");
  const output = openSync(join(dir, "edge.log"), "a");
  const workerd = await startWorkerd({
    module: join(WORKER_DIR, "index.js"),
    dir: join(dir, "edge"),
    host: "127.0.0.1",
    port: edgePort,
    vars: {
      EDGE_ORIGIN: edge,
      NODES: [
        {
          id: "node-1",
          url: `https://localhost:${nodePort}`,
          key: publicHalf(keys.nodeSigningKeys["node-1"]!),
          addresses: [{ address: "127.0.0.2", since: "2026-01-01" }],
        },
      ],
      OPERATOR_KEYS: { keys: [{ ...keys.operator.publicJwk, kid: "operator" }] },
    },
    secrets: { GRANT_MASTER_KEY: keys.grantMasterKey, EDGE_SIGNING_KEY: JSON.stringify(keys.edgeSigningKey) },
    ca: keys.ca,
    output,
  });
  closeSync(output);
  const operator = { edge, keyId: "operator", key: await importPrivateKey(keys.operator.privateKey) };
  await adminCall(operator, "PUT", "/admin/clients/app", {
    body: { id: "app", keys: [keys.client.publicJwk], allow },
  });
  const fake: FakeNode = {
    edge,
    relayUrl: edge.replace("//", `//app:${keys.client.privateKey}@`),
    answer: (_request, response) => response.end(),
    stop: async () => {
      workerd.kill("SIGKILL");
      await once(workerd, "exit");
      server.closeAllConnections();
      server.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
  return fake;
}
