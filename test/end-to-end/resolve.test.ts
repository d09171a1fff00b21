import { afterAll, beforeAll, expect, test } from "vitest";
import type { Stack } from "../../dev/stack.ts";
import { type DnsServer, startDnsServer } from "../support/dns-server.ts";
import { EdgeStream } from "../support/edge-stream.ts";
import { requestToken } from "../support/raw-caller.ts";
import { testStack } from "../support/stack.ts";
import { startTcpTarget, type TcpTarget } from "../support/tcp-target.ts";

let dns: DnsServer;
let echo: TcpTarget;
let stack: Stack;

beforeAll(async () => {
  dns = await startDnsServer();
  echo = await startTcpTarget((socket) => socket.pipe(socket));
  stack = await testStack({
    nodeConfig: { nameServers: [dns.address] },
    allow: [`tcp://*.acme.test:${echo.port}`],
  });
});
afterAll(async () => {
  await stack.stop();
  await Promise.all([dns.close(), echo.close()]);
});

async function resolve(host: string) {
  const url = `mongodb+srv://${host}`;
  const token = await requestToken(stack.relayUrl, { act: "resolve", htm: "POST", framing: "none", url });
  const headers = { "Relay-Authorization": `Bearer ${token}` };
  const answer = await fetch(`${stack.edge}/resolve`, { method: "POST", headers });
  return {
    answer,
    value: (await answer.json()) as { seeds: { host: string; port: number }[]; options: string },
  };
}

test("a seed list comes from a node's resolver, and a stream goes to what it names", async () => {
  dns.set("_mongodb._tcp.cluster0.acme.test", { SRV: [`${echo.port} shard-0.acme.test`] });
  dns.set("cluster0.acme.test", { TXT: ["authSource=admin&tls=false&replicaSet=rs0"] });
  dns.set("shard-0.acme.test", { A: ["127.0.0.1"] });
  const { answer, value } = await resolve("cluster0.acme.test");
  expect(answer.headers.get("relay-status")).toBe("target");
  expect(value).toEqual({
    seeds: [{ host: "shard-0.acme.test", port: echo.port }],
    options: "authSource=admin&replicaSet=rs0",
  });
  const [{ host, port } = { host: "", port: 0 }] = value.seeds;
  let said = "";
  const stream = await EdgeStream.open(
    stack.relayUrl,
    `tcp://${host}:${port}`,
    (chunk) => (said += Buffer.from(chunk).toString()),
  );
  await stream.write(Buffer.from("hello"));
  stream.end.finish();
  expect(await stream.over).toBeUndefined();
  expect(said).toBe("hello");
});

test.each([
  ["a host at another port", "ports.acme.test", `1 shard-0.acme.test`, "target_not_allowed"],
  ["a host outside the parent domain", "out.acme.test", "27017 shard-0.evil.test", "dns_failed"],
])("%s is not told", async (_what, name, record, code) => {
  dns.set(`_mongodb._tcp.${name}`, { SRV: [record] });
  dns.set(name, {});
  const { answer, value } = await resolve(name);
  expect(answer.headers.get("relay-error")).toBe(code);
  expect(JSON.stringify(value)).not.toMatch(/shard-0/);
});

test("a name that isn't there is told of; one that the client has no business with is not asked for", async () => {
  expect((await resolve("nowhere.acme.test")).answer.headers.get("relay-error")).toBe("dns_failed");
  const { answer } = await resolve("cluster0.evil.test");
  expect(answer.headers.get("relay-error")).toBe("target_not_allowed");
  expect(dns.queries.filter(({ name }) => name.includes("evil"))).toEqual([]);
});
