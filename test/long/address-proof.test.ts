import type { IncomingMessage, ServerResponse } from "node:http";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { newRequestId } from "../../protocol/tokens.ts";
import { type CountingTarget, startCountingTarget } from "../support/counting-target.ts";
import { eventually } from "../support/node-log.ts";
import { type NodeProcess, startNodeProcess } from "../support/node-process.ts";
import { rawRequest, sendRaw } from "../support/raw-http.ts";
import { expectRefusal } from "../support/refusal.ts";
import {
  listed as entry,
  PATIENCE_MS,
  type PublishingEdge,
  startPublishingEdge,
  told,
  untilHealth,
} from "../support/publishing-edge.ts";
import { startWitness, type Witness } from "../support/witness.ts";

/** Real node processes, each bound to 127.0.0.2 and published as that unless a test says otherwise. */

const OTHER = "198.51.100.9";

let target: CountingTarget;
let answer: (request: IncomingMessage, response: ServerResponse) => void;
const closers: (() => Promise<void>)[] = [];

beforeAll(async () => {
  target = await startCountingTarget({ answer: (request, response) => answer(request, response) });
});
afterEach(async () => {
  await Promise.all(closers.splice(0).map((close) => close()));
});
afterAll(() => target.close());

async function witnesses(count: number): Promise<Witness[]> {
  const started = await Promise.all(Array.from({ length: count }, () => startWitness()));
  closers.push(...started.map((witness) => () => witness.close()));
  return started;
}

async function start(asked: readonly Witness[], config: object = {}): Promise<NodeProcess> {
  answer = (_request, response) => void response.end("ok");
  const node = await startNodeProcess({ witnesses: asked.map(({ url }) => url), proofSeconds: 1, ...config });
  closers.push(() => node.stop());
  return node;
}

const ask = (node: NodeProcess, claims: object = {}) =>
  node.ask({ claims: { url: `http://127.0.0.1:${target.port}/x`, ...claims } });

async function health(node: NodeProcess): Promise<unknown> {
  const got = await node.get("/healthz");
  expect(got?.field("relay-node")).toBe("node-1");
  expect(got?.field("cache-control")).toBe("no-store");
  return [got?.status, JSON.parse(got!.body)];
}

async function gauge(node: NodeProcess, family: string): Promise<string | undefined> {
  const line = rawRequest("GET /metrics", ["Host: x", "Connection: close"]);
  const { body } = (await sendRaw({ port: node.metricsPort }, line))!;
  return new RegExp(`^holdfast_in_service\\{family="${family}"\\} (.*)$`, "m").exec(body)?.[1];
}

describe("a node whose published address is not what the world sees", () => {
  test("serves nothing, says why, uses no id up, and comes into service when it is seen rightly", async () => {
    const [witness] = await witnesses(1);
    const published = "203.0.113.10";
    const node = await start([witness!], { egress: { ipv4: { bind: "127.0.0.2", public: published } } });
    const name = new URL(witness!.url).host;
    await eventually(() => told(node, "out of service").length > 0, "it was refuted", PATIENCE_MS);
    const reason = `ipv4: the world sees 127.0.0.2, published is ${published} (told by ${name})`;
    expect(await health(node)).toEqual([503, { status: "out_of_service", node: "node-1", reason }]);
    const before = target.connections;
    const jti = newRequestId();
    const problem = expectRefusal(await ask(node, { jti }), "node_out_of_service");
    expect(problem).toMatchObject({ detail: reason, node: "node-1", request_id: jti, retryable: true });
    expect(target.connections).toBe(before);
    expect(await gauge(node, "ipv4")).toBe("0");
    // It answers as a witness all the same.
    expect((await node.get("/whoami"))?.status).toBe(200);

    witness!.tell = () => published;
    await untilHealth(node, 200);
    expect(await gauge(node, "ipv4")).toBe("1");
    const got = await ask(node, { jti });
    expect([got?.status, got?.field("relay-egress")]).toEqual([200, published]);
    expect(told(node, "out of service")[0]).toMatchObject({
      level: 40,
      family: "ipv4",
      published,
      reason,
      told: { edge: "dns_failed", [name]: "127.0.0.2" },
    });
    expect(told(node, "address proven")).toHaveLength(1);
  });

  test("serves nothing where nobody can be asked, and logs it once", async () => {
    const node = await start([]);
    await eventually(() => told(node, "out of service").length > 0, "it has asked", PATIENCE_MS);
    expectRefusal(await ask(node), "node_out_of_service");
    const silent = "no witness tells whether 127.0.0.2 is what the world sees (edge: dns_failed)";
    expect(await health(node)).toEqual([
      503,
      { status: "out_of_service", node: "node-1", reason: `ipv4: ${silent}` },
    ]);
    await new Promise((done) => setTimeout(done, 2_500));
    expect(told(node, "out of service")).toHaveLength(1);
  });

  test("tells a client without a grant nothing of it", async () => {
    const node = await start([]);
    expectRefusal(await node.ask({ authorization: [] }), "grant_missing");
  });
});

describe("a node in service", () => {
  test("serves while one of two witnesses lies", async () => {
    const [honest, liar] = await witnesses(2);
    liar!.tell = () => OTHER;
    const node = await start([liar!, honest!]);
    await untilHealth(node, 200);
    await eventually(() => liar!.asked > 2, "the liar was asked again", PATIENCE_MS);
    expect(await health(node)).toEqual([200, { status: "ok", node: "node-1" }]);
    expect((await ask(node))?.status).toBe(200);
    expect(told(node, "out of service")).toEqual([]);
  });

  test("stays when its witnesses are gone", async () => {
    const [witness] = await witnesses(1);
    const node = await start([witness!]);
    await untilHealth(node, 200);
    const { asked } = witness!;
    witness!.tell = () => undefined;
    await eventually(() => witness!.asked > asked + 2, "several rounds went by", PATIENCE_MS);
    expect((await ask(node))?.status).toBe(200);
    expect(told(node, "address not confirmed: the last proof still holds")).toHaveLength(1);
    expect(told(node, "out of service")).toEqual([]);
  });

  test("begins nothing once all see another address, lets what runs finish, and uses no connection again", async () => {
    const both = await witnesses(2);
    const node = await start(both);
    await untilHealth(node, 200);
    await ask(node);
    const gate = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    answer = (_request, response) => {
      begun.resolve();
      void gate.promise.then(() => response.end("late"));
    };
    const connections = target.connections;
    const underWay = ask(node);
    await begun.promise;
    expect(target.connections).toBe(connections);

    for (const witness of both) witness.tell = () => OTHER;
    await untilHealth(node, 503);
    expectRefusal(await ask(node), "node_out_of_service");
    expect(await gauge(node, "ipv4")).toBe("0");
    gate.resolve();
    expect(await underWay).toMatchObject({ status: 200, body: "late" });
    expect(target.connections).toBe(connections);

    for (const witness of both) witness.tell = (seen) => seen;
    await untilHealth(node, 200);
    answer = (_request, response) => void response.end("new");
    expect(await ask(node)).toMatchObject({ status: 200, body: "new" });
    expect(target.connections).toBe(connections + 1);
    expect(told(node, "address proven")).toHaveLength(2);
  });
});

/** @param list what it publishes at first */
async function startEdge(list: object): Promise<PublishingEdge> {
  const edge = await startPublishingEdge(list);
  closers.push(() => edge.close());
  return edge;
}

describe("a node at an edge with a published list", () => {
  const MISSING = "127.0.0.2 is not in the list that the edge publishes for node-1";

  test("serves nothing while it is not in the list, though all see its address, and as soon as it is", async () => {
    const edge = await startEdge({ addresses: [entry("127.0.0.2", "node-2"), entry("127.0.0.3")] });
    const node = await start([], { edge: edge.origin });
    await eventually(() => told(node, "out of service").length > 0, "it has asked", PATIENCE_MS);
    const reason = `ipv4: ${MISSING}`;
    expect(await health(node)).toEqual([503, { status: "out_of_service", node: "node-1", reason }]);
    const before = target.connections;
    const iss = edge.origin;
    const problem = expectRefusal(await ask(node, { iss }), "node_out_of_service");
    expect(problem).toMatchObject({ detail: reason, node: "node-1", retryable: true });
    expect(target.connections).toBe(before);
    expect(await gauge(node, "ipv4")).toBe("0");
    expect(told(node, "out of service")[0]).toMatchObject({
      listed: false,
      told: { edge: "127.0.0.2" },
      reason,
    });

    edge.publish({ addresses: [entry("127.0.0.2")] });
    await untilHealth(node, 200);
    expect((await ask(node, { iss }))?.status).toBe(200);
    expect(told(node, "address proven")).toHaveLength(1);
  });

  test("goes out when it leaves the list, and does not use a connection of before when it is back", async () => {
    const edge = await startEdge({ addresses: [entry("127.0.0.2")] });
    const iss = edge.origin;
    const node = await start([], { edge: iss });
    await untilHealth(node, 200);
    await ask(node, { iss });
    const connections = target.connections;
    const plan = { change: "add", date: "2126-12-15", ...entry("127.0.0.2") };
    edge.publish({ planned: [plan] });
    await untilHealth(node, 503);
    const { detail } = expectRefusal(await ask(node, { iss }), "node_out_of_service");
    expect(detail).toBe(`ipv4: ${MISSING} (planned from 2126-12-15)`);
    await eventually(() => told(node, "out of service").length > 0, "it is told", PATIENCE_MS);

    edge.publish({ addresses: [entry("127.0.0.2")] });
    await untilHealth(node, 200);
    expect((await ask(node, { iss }))?.status).toBe(200);
    expect(target.connections).toBe(connections + 1);
  });

  test("is judged by family, also by that which the edge has no address of", async () => {
    const edge = await startEdge({ addresses: [entry("127.0.0.2")] });
    const six = await startWitness({ host: "::1" });
    closers.push(() => six.close());
    const node = await start([], {
      edge: edge.origin,
      witnesses: [`http://[::1]:${six.port}/`],
      egress: { ipv4: { bind: "127.0.0.2", public: "127.0.0.2" }, ipv6: { bind: "::1", public: "::1" } },
    });
    await eventually(() => told(node, "out of service").length > 0, "IPv6 is out", PATIENCE_MS);
    await untilHealth(node, 200);
    expect([await gauge(node, "ipv4"), await gauge(node, "ipv6")]).toEqual(["1", "0"]);
    edge.publish({ addresses: [entry("127.0.0.2"), entry("0:0::1")] });
    await eventually(async () => (await gauge(node, "ipv6")) === "1", "IPv6 is back", PATIENCE_MS);
    edge.publish({ addresses: [entry("::1")] });
    await eventually(async () => (await gauge(node, "ipv4")) === "0", "IPv4 is out", PATIENCE_MS);
    expect(await gauge(node, "ipv6")).toBe("1");
  });

  test("tells both where another address is seen and the configured one is not listed", async () => {
    const edge = await startEdge({ addresses: [entry("127.0.0.2")] });
    const egress = { ipv4: { bind: "127.0.0.2", public: "203.0.113.10" } };
    const node = await start([], { edge: edge.origin, egress });
    await eventually(() => told(node, "out of service").length > 0, "it has asked", PATIENCE_MS);
    const reason =
      "ipv4: 203.0.113.10 is not in the list that the edge publishes for node-1; " +
      "ipv4: the world sees 127.0.0.2, published is 203.0.113.10 (told by edge)";
    expect(await health(node)).toEqual([503, { status: "out_of_service", node: "node-1", reason }]);
  });
});

test("a family that is not proven is not left by, the other one is", async () => {
  // It listens on IPv4 alone, so that nobody tells of IPv6.
  const [witness] = await witnesses(1);
  const six = await startCountingTarget({ host: "::1" });
  closers.push(() => six.close());
  const node = await start([witness!], {
    egress: { ipv4: { bind: "127.0.0.2", public: "127.0.0.2" }, ipv6: { bind: "::1", public: "::1" } },
    open: ["127.0.0.0/8", "::1/128"],
  });
  await untilHealth(node, 200);
  expect([await gauge(node, "ipv4"), await gauge(node, "ipv6")]).toEqual(["1", "0"]);
  expect((await ask(node))?.status).toBe(200);
  const url = `http://[::1]:${six.port}/`;
  const { detail } = expectRefusal(await ask(node, { url }), "connect_failed");
  expect(detail).toBe("::1 has IPv6 addresses alone, and this node has no such egress in service");
  expect(six.connections).toBe(0);
});
