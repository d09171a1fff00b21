import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { lookupBy } from "../../relay-node/lookup.ts";
import { createResolver } from "../../relay-node/resolver.ts";

/** Connections that look their names up as the node's requests do. */

let server: Server;
beforeAll(async () => {
  server = createServer((socket) => socket.end("here")).listen(0, "127.0.0.1");
  await once(server, "listening");
});
afterAll(() => void server.close());

// Nobody answers there.
const lookup = lookupBy(createResolver({ servers: ["127.0.0.1:1"], ipv6: true, timeoutMs: 200, tries: 1 }));

test.each([true, false])(
  "a name leads to its addresses, with a choice of them: %s",
  async (autoSelectFamily) => {
    const { port } = server.address() as AddressInfo;
    const socket = connect({ host: "edge.localhost", port, lookup, autoSelectFamily });
    const [chunk] = (await once(socket, "data")) as [Buffer];
    expect(chunk.toString()).toBe("here");
  },
);

test("one that has none fails the connection", async () => {
  const socket = connect({ host: "edge.example.com", port: 1, lookup });
  const [error] = (await once(socket, "error")) as [Error];
  expect(error).toMatchObject({ code: expect.stringMatching(/^dns_/) as string });
});
