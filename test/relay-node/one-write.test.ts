import { once } from "node:events";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type CountingTarget, startCountingTarget } from "../support/counting-target.ts";
import { type NodeProcess, startNodeProcess } from "../support/node-process.ts";
import { openRaw } from "../support/raw-http.ts";

/** A node that is killed between two writes has answered in part: a short answer is to leave in one. */

let node: NodeProcess;
let target: CountingTarget;
beforeAll(async () => {
  target = await startCountingTarget({
    answer: (request, response) => {
      const body = "b".repeat(1_000);
      // Head and body leave this target in one write, so they come to the node in one.
      response.socket!.cork();
      if (request.url === "/length") response.writeHead(200, { "Content-Length": body.length });
      response.write(body);
      response.end();
      process.nextTick(() => response.socket?.uncork());
    },
  });
  node = await startNodeProcess();
});
afterAll(async () => {
  await node.stop();
  await target.close();
});

test.each(["/length", "/chunks"])(
  "%s: an answer's head and its short body come as one TLS record",
  async (path) => {
    for (let i = 0; i < 20; i++) {
      const socket = await openRaw({ port: node.port, ca: node.ca });
      socket.write(node.bytes({ claims: { url: `http://127.0.0.1:${target.port}${path}` } }));
      // Node's TLS tells each record by itself.
      const [first] = (await once(socket, "data")) as [Buffer];
      const text = first.toString("latin1");
      expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
      expect(text).toMatch(path === "/length" ? /b{1000}$/ : /b{1000}\r\n0\r\n\r\n$/);
      socket.destroy();
    }
  },
);
