import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isRelayError } from "../../protocol/errors.ts";
import { parseSeedListUrl } from "../../protocol/seed-list.ts";
import { newRequestId } from "../../protocol/tokens.ts";
import { SEED_OPTIONS_MAX_BYTES, SEEDS_MAX } from "../../relay-node/limits.ts";
import { createSeedResolver, readSeedList } from "../../relay-node/seeds.ts";
import { type DnsServer, startDnsServer } from "../support/dns-server.ts";
import { type NodeHere, startNodeHere } from "../support/node-here.ts";
import { eventually } from "../support/node-log.ts";
import { type RawAnswer, rawRequest, sendRaw } from "../support/raw-http.ts";
import { expectRefusal } from "../support/refusal.ts";

/** `mongodb+srv` names: what their records say, and the node's door for them. */

const NAME = parseSeedListUrl("mongodb+srv://cluster.db.test");
const srv = (name: string, port = 27_017) => ({ name, port });
const seedNames = (count: number) => Array.from({ length: count }, (_, i) => srv(`s${i}.db.test`));

async function codeOf(work: () => unknown): Promise<string | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    if (!isRelayError(error)) throw error;
    return error.code;
  }
}

describe("records", () => {
  test("say hosts, ports and options", () => {
    const records = [srv("S0.db.test."), srv("a.b.db.test", 27_018)];
    expect(readSeedList(NAME, records, [["authSource=admin", "&replicaSet=rs0"]])).toEqual({
      seeds: [
        { host: "s0.db.test", port: 27_017 },
        { host: "a.b.db.test", port: 27_018 },
      ],
      options: "authSource=admin&replicaSet=rs0",
    });
    expect(readSeedList(NAME, seedNames(SEEDS_MAX), [])).toMatchObject({ options: "" });
  });

  test.each<readonly [what: string, records: { name: string; port: number }[], txt: string[][]]>([
    ["no host", [], []],
    ["too many hosts", seedNames(SEEDS_MAX + 1), []],
    ["a host elsewhere", [srv("s0.db.test"), srv("s0.other.test")], []],
    ["a host whose name ends alike", [srv("s0.evildb.test")], []],
    ["the parent itself", [srv("db.test")], []],
    ["an address", [srv("10.0.0.1")], []],
    ["a name that is none", [srv("a b.db.test")], []],
    ["no port", [srv("s0.db.test", 0)], []],
    ["two records of options", seedNames(1), [["a=b"], ["c=d"]]],
    ["options that are too long", seedNames(1), [["x".repeat(SEED_OPTIONS_MAX_BYTES + 1)]]],
    ["options with a line's end", seedNames(1), [["a=b\r\nc"]]],
  ])("with %s are refused", async (_what, records, txt) => {
    expect(await codeOf(() => readSeedList(NAME, records, txt))).toBe("dns_failed");
  });
});

let dns: DnsServer;
let node: NodeHere;
beforeAll(async () => {
  dns = await startDnsServer();
  dns.set("_mongodb._tcp.cluster.db.test", { SRV: ["27017 s0.db.test", "27018 s1.db.test"] });
  dns.set("cluster.db.test", { TXT: ["authSource=admin"] });
  dns.set("_mongodb._tcp.plain.db.test", { SRV: ["27017 s0.db.test"] });
  dns.set("_mongodb._tcp.astray.db.test", { SRV: ["27017 s0.else.test"] });
  dns.set("_mongodb._tcp.silent.db.test", { SRV: "drop" });
  dns.set("_mongodb._tcp.broken.db.test", { SRV: "servfail" });
  dns.set("_mongodb._tcp.half.db.test", { SRV: ["27017 s0.db.test"] });
  dns.set("half.db.test", { TXT: "servfail" });
  node = await startNodeHere(undefined, { nameServers: [dns.address] });
});
afterAll(async () => {
  await node.stop();
  await dns.close();
});

describe("a look-up", () => {
  const resolver = (deadlineMs?: number) =>
    createSeedResolver({
      servers: [dns.address],
      timeoutMs: 200,
      tries: 2,
      ...(deadlineMs !== undefined && { deadlineMs }),
    });
  const resolve = (label: string, deadlineMs?: number) =>
    resolver(deadlineMs).resolve(parseSeedListUrl(`mongodb+srv://${label}.db.test`));

  test("asks for both kinds of records", async () => {
    expect(await resolve("cluster")).toMatchObject({ options: "authSource=admin" });
    expect(await resolve("plain")).toEqual({ seeds: [{ host: "s0.db.test", port: 27_017 }], options: "" });
  });

  test.each([
    ["of no name", "nowhere", "dns_failed"],
    ["of a host elsewhere", "astray", "dns_failed"],
    ["whose name server fails", "broken", "dns_failed"],
    ["whose name server fails for the options", "half", "dns_failed"],
    ["that nobody answers", "silent", "dns_timeout"],
  ])("%s fails", async (_what, label, code) => {
    expect(await codeOf(() => resolve(label))).toBe(code);
  });

  test("ends in time, and when nobody waits any more", async () => {
    expect(await codeOf(() => resolve("silent", 20))).toBe("dns_timeout");
    const reason = new Error("gone");
    await expect(resolver().resolve(NAME, AbortSignal.abort(reason))).rejects.toBe(reason);
  });
});

describe("POST /resolve", () => {
  const ask = (claims: object, lines: readonly string[] = []): Promise<RawAnswer | undefined> => {
    const grant = node.grant({
      claims: { act: "resolve", htm: "POST", url: "mongodb+srv://cluster.db.test", ...claims },
    });
    const fields = [
      "Host: x",
      "Connection: close",
      `Relay-Authorization: Bearer ${grant}`,
      "Content-Length: 0",
    ];
    return sendRaw({ port: node.port, ca: node.ca }, rawRequest("POST /resolve", [...fields, ...lines]));
  };

  test("answers with hosts and options, and one line", async () => {
    const jti = newRequestId();
    const answer = await ask({ jti });
    expect(answer).toMatchObject({ status: 200 });
    expect(JSON.parse(answer!.body)).toEqual({
      seeds: [
        { host: "s0.db.test", port: 27_017 },
        { host: "s1.db.test", port: 27_018 },
      ],
      options: "authSource=admin",
    });
    expect(answer!.field("relay-status")).toBe("target");
    expect(answer!.field("relay-node")).toBe("node-1");
    expect(answer!.field("relay-request-id")).toBe(jti);
    expect(answer!.field("cache-control")).toBe("no-store");
    expect(answer!.field("relay-timing")).toMatch(/^node_queue;dur=[\d.]+, dns;dur=[\d.]+$/);
    const lines = () => node.log().filter((line) => line["jti"] === jti);
    await eventually(() => lines().length === 1, "it was told");
    expect(lines()[0]).toMatchObject({
      door: "resolve",
      msg: "request",
      client: "app",
      target: "cluster.db.test",
      decision: "resolved",
    });
  });

  test.each<readonly [code: Parameters<typeof expectRefusal>[1], claims: object]>([
    ["dns_failed", { url: "mongodb+srv://nowhere.db.test" }],
    ["url_invalid", { url: "mongodb+srv://db.test" }],
    ["url_invalid", { url: "https://cluster.db.test" }],
    ["grant_invalid", { act: "fetch" }],
    ["grant_node", { aud: "node-2" }],
    ["token_framing", { framing: 5 }],
  ])("refuses with %s where the grant says %o", async (code, claims) => {
    expectRefusal(await ask(claims), code);
  });

  test("is good once, and counts towards the client's rate", async () => {
    const claims = { jti: newRequestId(), sub: "asks", limits: { rate: 2 } };
    expect((await ask(claims))?.status).toBe(200);
    expectRefusal(await ask(claims), "token_replayed");
    expectRefusal(await ask({ ...claims, jti: newRequestId() }), "rate_limited");
    expect(await node.metric("holdfast_client_slots")).toBe(0);
  });
});
