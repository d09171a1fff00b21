import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { newRequestId } from "../../protocol/tokens.ts";
import { eventually, logLines, type RequestLine, requestLines } from "../support/node-log.ts";
import { type NodeProcess, startNodeProcess } from "../support/node-process.ts";
import { type Changes, type RefusalStack, startRefusalStack } from "../support/refusal-stack.ts";

/** The canonical line is an interface: these fields and no others, whatever happened. And nothing secret, ever. */

let relay: RefusalStack;
beforeAll(async () => {
  relay = await startRefusalStack(["TARGET", "http://*:9", "https://*:9"], {
    logLevel: "trace",
    nameServers: ["127.0.0.1:1"],
  });
});
afterAll(() => relay.stop());

const logs = () => relay.stack.nodes.map(({ id }) => relay.stack.logs.node(id));

/** The one line of a request, which is written when its connection is done with. */
async function lineOf(jti: string): Promise<RequestLine> {
  const lines = () =>
    logs()
      .flatMap((file) => requestLines(file))
      .filter((line) => line.jti === jti);
  await eventually(() => lines().length > 0, `a line was written for ${jti}`);
  expect(lines()).toHaveLength(1);
  return lines()[0]!;
}

const STANDARD = ["level", "time", "node", "msg"];
const ALWAYS = ["door", "decision", "bytes_up", "bytes_down", "ms"];
const JUDGED = ["jti", "client", "method", "target"];
const DIALED = ["egress", "bind", "dialed", "protocol", "warm"];
const REFUSED = ["reason", "detail", "reached"];
const keysOf = (line: RequestLine) => Object.keys(line).toSorted();

describe("the canonical line", () => {
  test("of a relayed request", async () => {
    const jti = newRequestId();
    await relay.ask({
      claims: { jti, htm: "POST", framing: 5, url: `${relay.targetUrl}/path?query` },
      body: "12345",
    });
    const line = await lineOf(jti);
    expect(line).toMatchObject({
      door: "fetch",
      client: "dev",
      method: "POST",
      target: `localhost:${relay.target.port}`,
      decision: "relayed",
      status: 200,
      dialed: "127.0.0.1",
      protocol: "http/1.1",
      tls: "TLSv1.3",
      warm: false,
      bytes_up: 5,
      bytes_down: 2,
    });
    expect(["127.0.0.2", "127.0.0.3"]).toContain(line["egress"]);
    expect(line["bind"]).toBe(line["egress"]);
    expect(Object.keys(line["ms"] as object).toSorted()).toEqual([
      "connect",
      "dns",
      "node_queue",
      "target",
      "tls",
      "total",
    ]);
    expect(Object.values(line["ms"] as object).every((ms) => typeof ms === "number" && ms >= 0)).toBe(true);
    expect(keysOf(line)).toEqual([...STANDARD, ...ALWAYS, ...JUDGED, ...DIALED, "tls", "status"].toSorted());
  });

  test("of one on a warm connection leaves out the stages that were skipped", async () => {
    const claims = () => ({ jti: newRequestId(), node: "node-1" });
    await relay.ask({ claims: claims() });
    const second = claims();
    await relay.ask({ claims: second });
    const line = await lineOf(second.jti);
    expect(line["warm"]).toBe(true);
    expect(Object.keys(line["ms"] as object).toSorted()).toEqual(["node_queue", "target", "total"]);
  });

  const FAILED: readonly (readonly [string, Changes["claims"] & object, object, readonly string[]])[] = [
    ["a replay", { jti: newRequestId(), twice: true }, { reason: "token_replayed", reached: "unknown" }, []],
    [
      "a refused address",
      { url: "http://10.0.0.1:9/secret" },
      { reason: "address_refused", target: "10.0.0.1:9" },
      [],
    ],
    [
      "a name that can't be looked up",
      { url: "https://nowhere.example.test:9/" },
      { reason: "dns_failed", level: 40 },
      ["cause"],
    ],
    [
      "a target that does not listen",
      { url: "http://127.0.0.1:9/" },
      { reason: "connect_refused", level: 40 },
      ["cause"],
    ],
  ];
  test.each(FAILED)("of %s", async (_what, { twice, ...changes }, expected, more) => {
    const jti = newRequestId();
    const asked = { claims: { ...changes, jti } };
    if (twice === true) {
      const node = relay.stack.nodes[0]!;
      const first = newRequestId();
      const used = { claims: { jti: first, node: node.id } };
      await relay.ask(used);
      await relay.ask(used);
      const lines = () => requestLines(relay.stack.logs.node(node.id)).filter((line) => line.jti === first);
      await eventually(() => lines().length === 2, "both lines were written");
      const refused = lines().find(({ decision }) => decision === "refused")!;
      expect(refused).toMatchObject(expected);
      expect(keysOf(refused)).toEqual([...STANDARD, ...ALWAYS, ...JUDGED, ...REFUSED].toSorted());
      return;
    }
    await relay.ask(asked);
    const line = await lineOf(jti);
    expect(line).toMatchObject({ decision: "refused", bytes_up: 0, bytes_down: 0, ...expected });
    expect(keysOf(line)).toEqual([...STANDARD, ...ALWAYS, ...JUDGED, ...REFUSED, ...more].toSorted());
  });
});

describe("secrets", () => {
  /** Recognisable wherever they turn up, also in base64. */
  const SECRET = "s3cr3t-in-the";
  const secret = (place: string) => `${SECRET}-${place}`;
  const digest = (body: string) => `sha-256=:${createHash("sha256").update(body).digest("base64")}:`;
  const sent: string[] = [];

  /** Everything that a log could hold and must not: secrets as they are, and every token and grant in full. */
  function expectClean(text: string): void {
    expect(text.length).toBeGreaterThan(0);
    expect(text).not.toContain(SECRET);
    expect(text).not.toContain(Buffer.from(SECRET).toString("base64url").slice(1, -2));
    expect(text).not.toMatch(/eyJ[\w-]{10}/);
    expect(text.toLowerCase()).not.toContain("bearer");
    for (const token of sent) expect(text).not.toContain(token.split(".")[2]!.slice(0, 30));
  }

  test("stand in no log of a node or the edge", async () => {
    const url = (host: string) => `${host}/${secret("path")}?token=${secret("query")}`;
    const fields = [
      `Authorization: Bearer ${secret("field")}`,
      `Cookie: ${secret("cookie")}`,
      `X-Key: ${secret("key")}`,
    ];
    const section = (text: string) => [
      `Relay-Fields-1: ${Buffer.from(text, "latin1").toString("base64url")}`,
    ];
    const asks: Changes[] = [
      { form: "raw", claims: { url: url(relay.targetUrl) }, fields },
      { claims: { url: url(relay.targetUrl) }, fields: section(`Authorization:${secret("field")}\n`) },
      { claims: { url: url(relay.targetUrl) }, fields: section(`X:${secret("field")}\u0001\n`) },
      { claims: { url: url(relay.targetUrl) }, fields: section(`Connection:${secret("field")}\n`) },
      { claims: { url: url(relay.targetUrl) }, fields: section(secret("section")) },
      { claims: { url: url("http://10.0.0.1:9") }, fields },
      { claims: { url: url("http://127.0.0.1:9") } },
      { claims: { url: url("https://nowhere.example.test:9") } },
      { claims: { url: `https://user:${secret("password")}@localhost:9/` } },
      { claims: { url: `${relay.targetUrl}/#${secret("fragment")}` } },
      { claims: { url: url(`https://localhost:${relay.target.port}`), node: secret("node") } },
      {
        claims: { htm: "POST", framing: 40, digest: digest("x"), url: url(relay.targetUrl) },
        body: secret("body").padEnd(40, "."),
      },
      { claims: { htm: "POST", framing: "none", url: url(relay.targetUrl) }, body: secret("body") },
      { path: `/r/${secret("handle")}/x?y=${secret("query")}` },
      { path: `/admin/clients/${secret("id")}?y=${secret("query")}` },
      { authorization: [`Relay-Authorization: Bearer ${secret("token")}`] },
      {
        authorization: [
          `Relay-Authorization: Bearer ${secret("token")}.${secret("token")}.${secret("token")}`,
        ],
      },
      { signer: () => Buffer.from(secret("signature")) },
      { claims: { iss: secret("client"), note: secret("claim") } },
    ];
    for (const ask of asks) {
      const token = relay.token(ask);
      if (ask.authorization === undefined) sent.push(token);
      const answer = await relay.ask({
        ...ask,
        authorization: ask.authorization ?? [`Relay-Authorization: Bearer ${token}`],
      });
      expect(answer?.status).toBeGreaterThanOrEqual(200);
    }
    await relay.ask({ claims: { jti: "AAECAwQFBgcICQoLDA0ODw" } });
    await lineOf("AAECAwQFBgcICQoLDA0ODw");
    for (const file of logs()) expectClean(readFileSync(file, "utf8"));
    expectClean(`edge: ${readFileSync(relay.stack.logs.edge, "utf8")}`);
  });

  test("of targets that answer in their own way stand in none either", async () => {
    const answers = [
      `HTTP/1.1 200 ${secret("reason")}\r\nSet-Cookie: ${secret("cookie")}\r\nContent-Length: 4\r\n\r\nbody`,
      `HTTP/1.1 999999 ${secret("reason")}\r\n\r\n`,
      `${secret("protocol")}\r\n\r\n`,
      `HTTP/1.1 200 OK\r\n${secret("name")} x: y\r\n\r\n`,
      `HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n${secret("cut")}`,
      `HTTP/1.1 101 ${secret("reason")}\r\nUpgrade: ${secret("upgrade")}\r\n\r\n`,
      "",
    ];
    const node: NodeProcess = await startNodeProcess({ logLevel: "trace" });
    const server = createServer((socket) => {
      socket.on("error", () => {}).once("data", () => socket.end(answers.shift() ?? ""));
    });
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    const { port } = server.address() as { port: number };
    const count = answers.length;
    for (let i = 0; i < count; i++) {
      const grant = node.grant({ claims: { url: `http://127.0.0.1:${port}/${secret("path")}` } });
      sent.push(grant);
      await node.ask({ authorization: [`Relay-Authorization: Bearer ${grant}`] });
    }
    await eventually(() => requestLines(node.logFile).length === count, "every request has its line");
    expectClean(readFileSync(node.logFile, "utf8"));
    expect(logLines(node.logFile).every(({ level }) => (level as number) <= 40)).toBe(true);
    expect(node.isAlive()).toBe(true);
    await node.stop();
    await new Promise((closed) => server.close(closed));
  });
});
