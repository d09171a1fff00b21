import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { SocksClient } from "socks";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { RelayError } from "../../../protocol/errors.ts";
import { parseTargetUrl } from "../../../protocol/targets.ts";
import { newRequestId } from "../../../protocol/tokens.ts";
import { type UsageCounts, monthOf, NO_USAGE, USAGE_COUNTS } from "../../../protocol/usage.ts";
import { Metrics } from "../../../relay-node/metrics.ts";
import { Outcome } from "../../../relay-node/outcome.ts";
import { RelayedRequest } from "../../../relay-node/relayed-request.ts";
import type { RequestForm } from "../../../relay-node/request-form.ts";
import { Requests } from "../../../relay-node/requests.ts";
import { type CountingTarget, startCountingTarget } from "../../support/counting-target.ts";
import type { GrantedNode } from "../../support/node-here.ts";
import { eventually } from "../../support/node-log.ts";
import { handleOf, loginOf, type ProxyNode, startProxyNode } from "../../support/proxy-node.ts";
import { openRaw as openPlain, type RawAnswer, rawRequest, sendRaw } from "../../support/raw-http.ts";
import { openRaw } from "../../support/raw-stream.ts";
import { askStream, ClientStream, failureOf } from "../../support/stream-client.ts";
import { startTcpTarget, type TcpTarget } from "../../support/tcp-target.ts";

/** What a node counts of its clients, by each door, and how it tells the edge. Each test has a client of its own. */

let node: ProxyNode;
/** The same, with grants of the edge that it tells. */
let granted: GrantedNode;
let echo: TcpTarget;
let target: CountingTarget;
let clients = 0;
let client: string;
beforeAll(async () => {
  node = await startProxyNode({ tickMs: 100, usageMs: 100 });
  const iss = node.relay.config.edge;
  granted = { ...node, grant: (ask) => node.grant({ ...ask, claims: { iss, ...ask?.claims } }) };
  echo = await startTcpTarget((socket) => void socket.pipe(socket));
  target = await startCountingTarget({ answer: (_request, response) => response.end("x".repeat(50)) });
});
beforeEach(() => {
  client = `app-${++clients}`;
  node.over = [];
  node.refuse = undefined;
  node.limits = undefined;
});
afterAll(async () => {
  await node.stop();
  await echo.close();
  await target.close();
});

const none = () => 0;
const NO_GAUGES = {
  active: none,
  connections: none,
  slots: none,
  draining: () => false,
  inService: () => [],
};

/** What the edge knows of a client: the largest counts that it was told. */
function told(): UsageCounts {
  const sum = { ...NO_USAGE };
  for (const total of node.reports.flatMap(({ totals }) => totals)) {
    if (total.client !== client) continue;
    expect(total.month).toBe(monthOf(Date.now()));
    for (const name of USAGE_COUNTS) sum[name] = Math.max(sum[name], total[name]);
  }
  return sum;
}

async function expectTold(expected: Partial<UsageCounts>): Promise<void> {
  const { streamSeconds: _, ...rest } = { ...NO_USAGE, ...expected };
  await expect.poll(told, { timeout: 10_000, interval: 20 }).toMatchObject(rest);
}

const at = (path = "/") => `http://127.0.0.1:${target.port}${path}`;

function post(
  path: string,
  claims: Readonly<Record<string, unknown>>,
  body = "",
): Promise<RawAnswer | undefined> {
  const lines = [
    "Host: localhost",
    "Connection: close",
    `Relay-Authorization: Bearer ${granted.grant({ claims: { sub: client, ...claims } })}`,
    "Relay-Envelope: 1",
    `Content-Length: ${body.length}`,
  ];
  return sendRaw({ port: node.port, ca: node.ca }, rawRequest(`POST ${path}`, lines, body));
}

const fetchBy = (claims: Readonly<Record<string, unknown>> = {}, body = "") =>
  post("/fetch", { url: at(), ...(body !== "" && { htm: "POST", framing: body.length }), ...claims }, body);

describe("counted are", () => {
  test("requests, with the bytes of both bodies", async () => {
    expect((await fetchBy())?.status).toBe(200);
    expect((await fetchBy({}, "0123456789"))?.status).toBe(200);
    await expectTold({ requests: 2, bytesUp: 10, bytesDown: 100 });
  });

  test("requests that came to nothing at their target", async () => {
    expect((await fetchBy({ url: "http://127.0.0.1:1/" }))?.field("relay-error")).toBe("connect_refused");
    await expectTold({ requests: 1 });
  });

  test("refusals under a grant, and nothing of those without one", async () => {
    const claims = { limits: { rate: 0.01, concurrent: 5 } };
    expect((await fetchBy(claims))?.status).toBe(200);
    for (let i = 0; i < 2; i++) {
      expect((await fetchBy(claims))?.field("relay-error")).toBe("rate_limited");
    }
    expect((await fetchBy({ ...claims, url: "http://10.0.0.1/", limits: {} }))?.field("relay-error")).toBe(
      "address_refused",
    );
    expect((await fetchBy({ aud: "node-9" }))?.field("relay-error")).toBe("grant_node");
    await expectTold({ requests: 1, refusals: 3, bytesDown: 50 });
  });

  test("a replay as a refusal", async () => {
    const claims = { jti: newRequestId() };
    expect((await fetchBy(claims))?.status).toBe(200);
    expect((await fetchBy(claims))?.field("relay-error")).toBe("token_replayed");
    await expectTold({ requests: 1, refusals: 1, bytesDown: 50 });
  });

  test("look-ups of seed lists as requests", async () => {
    const claims = { act: "resolve", htm: "POST", url: "mongodb+srv://cluster.db.test" };
    expect((await post("/resolve", claims))?.field("relay-error")).toMatch(/^dns_/);
    await expectTold({ requests: 1 });
  });

  test("streams, with their time, once however often they are resumed", async () => {
    const stream = await ClientStream.open(granted, { claims: { sub: client, url: echo.url } });
    stream.write("hello");
    await eventually(() => stream.bytes.length === 5, "it came back");
    stream.cut();
    await stream.resume();
    await expect.poll(() => told().streamSeconds, { timeout: 5_000 }).toBeGreaterThanOrEqual(1);
    stream.finish();
    expect(await stream.over).toBeUndefined();
    await expectTold({ requests: 1, streams: 1, bytesUp: 5, bytesDown: 5 });
  });

  test("streams without a protocol", async () => {
    const { socket, bytes } = await openRaw({ ...node, ...granted }, { sub: client, url: echo.url }, []);
    socket.send(Buffer.from("hello"));
    await eventually(() => bytes().length === 5, "it came back");
    socket.close(1_000);
    await expectTold({ requests: 1, streams: 1, bytesUp: 5, bytesDown: 5 });
  });

  test("streams that could not be opened as requests", async () => {
    expect(
      (await failureOf(askStream(granted, { claims: { sub: client, url: "tcp://127.0.0.1:1" } }))).code,
    ).toBe("connect_refused");
    await expectTold({ requests: 1 });
  });

  test("tunnels by CONNECT", async () => {
    const socket = await node.tunnel(echo.url, { login: loginOf(client), early: Buffer.from("hello") });
    await once(socket, "readable");
    socket.end();
    await expectTold({ requests: 1, streams: 1, bytesUp: 5, bytesDown: 5 });
  });

  test("tunnels by SOCKS", async () => {
    const { socket } = await SocksClient.createConnection({
      proxy: {
        host: "127.0.0.1",
        port: node.ports.socks5,
        type: 5,
        userId: client,
        password: handleOf(client),
      },
      command: "connect",
      destination: { host: "127.0.0.1", port: echo.port },
    });
    socket.write("hello");
    await once(socket, "data");
    socket.end();
    await expectTold({ requests: 1, streams: 1, bytesUp: 5, bytesDown: 5 });
  });

  test("requests in the absolute form, and their refusals", async () => {
    const ask = () => {
      const lines = [
        `Host: 127.0.0.1:${target.port}`,
        loginOf(client),
        "Content-Length: 3",
        "Connection: close",
      ];
      return node.ask(rawRequest(`POST ${at("/x")}`, lines, "abc"));
    };
    node.limits = { rate: 0.01 };
    expect((await ask())?.status).toBe(200);
    expect((await ask())?.field("relay-error")).toBe("rate_limited");
    await expectTold({ requests: 1, refusals: 1, bytesUp: 3, bytesDown: 50 });
  });
});

test("a request whose caller goes as it is let in is booked no longer than it runs", async () => {
  const { relay } = node;
  const requests = new Requests(new Metrics(NO_GAUGES), relay.log, () => {});
  const entered = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  const door = createServer((request, response) => {
    const parts = { node: relay, request, response, outcome: new Outcome(relay.config, "fetch") };
    const grant = { sub: client, iat: Math.floor(Date.now() / 1_000) };
    const form: RequestForm = {
      async begin(entrance) {
        parts.outcome.claims = { ...grant, jti: newRequestId(), htm: "GET", url: at() };
        entrance.enter(grant);
        entered.resolve();
        // As while a digest is computed.
        await once(response, "close");
        const to = parseTargetUrl(at());
        const { path, authority } = to;
        const asked = { method: "GET", path, authority, fields: [], framing: "none", body: null } as const;
        return { clientId: client, target: to, request: asked, isRead: false, repeatable: true };
      },
      head: () => {},
      fail: () => {},
      cut: () => {},
    };
    const relayed = new RelayedRequest(parts, form);
    requests.serve(relayed, parts);
    response.once("close", () => setImmediate(ended.resolve));
  });
  door.listen(0, "127.0.0.1");
  await once(door, "listening");
  const { running } = relay.usage;
  const caller = await openPlain({ port: (door.address() as AddressInfo).port });
  caller.write(rawRequest("GET /", ["Host: x"]));
  await entered.promise;
  caller.destroy();
  await ended.promise;
  expect(relay.usage.running).toBe(running);
  door.close();
});

describe("reports", () => {
  test("come again until they are taken, under one epoch, and rest while nothing grows", async () => {
    node.refuse = new RelayError("registry_unavailable", "not now");
    const before = node.reports.length;
    await fetchBy();
    await eventually(() => node.reports.length >= before + 2, "it tries again");
    node.refuse = undefined;
    const lines = () => node.log().filter(({ msg }) => msg === "usage told again").length;
    await eventually(() => lines() === 1, "it is told");
    await expectTold({ requests: 1, bytesDown: 50 });
    expect(new Set(node.reports.map(({ epoch }) => epoch)).size).toBe(1);
    const rested = node.reports.length;
    await new Promise((done) => setTimeout(done, 400));
    expect(node.reports.length).toBe(rested);
    expect(node.log().filter(({ msg }) => msg === "usage not told")).toHaveLength(1);
  });

  test("whose answer names a client end its streams, and no other's", async () => {
    const mine = await askStream(granted, { claims: { sub: client, url: echo.url } });
    const others = await askStream(granted, { claims: { sub: "other", url: echo.url } });
    const tunnel = await node.tunnel(echo.url, { login: loginOf(client) });
    const gone = new Promise((done) =>
      tunnel
        .on("error", () => {})
        .resume()
        .once("close", done),
    );
    const ended = once(mine.socket, "close");
    node.over = [client];
    const [code] = (await ended) as [number];
    expect(code).toBe(1_011);
    await gone;
    expect(others.socket.readyState).toBe(others.socket.OPEN);
    const closed = () => node.log().filter(({ msg, client: of }) => msg === "stream closed" && of === client);
    expect(closed().map(({ reason }) => reason)).toEqual(["quota_exceeded", "quota_exceeded"]);
    others.socket.terminate();
  });
});
