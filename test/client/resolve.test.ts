import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { checkSeedList, resolveService } from "../../client/resolve.ts";
import { problemResponse, RelayError } from "../../protocol/errors.ts";
import { type BoundKey, generateClientKey, importPublicKey } from "../../protocol/keys.ts";
import { checkRequestClaims } from "../../protocol/claims.ts";
import { readBearer, verifySignature } from "../../protocol/tokens.ts";
import { startFakePool } from "../support/fake-pool.ts";

/** An edge that knows `/resolve` alone: it proves the token, as the real one does, and gives what it is told to. */
let server: http.Server;
let origin: string;
let relayUrl: string;
let publicKey: BoundKey;
let answer: { status: number; headers: [string, string][]; body: string };
let asked: { method: string | undefined; url: string | undefined; claims: unknown; length: number }[];

const SEEDS = { seeds: [{ host: "a.abc.example.net", port: 27_017 }], options: "authSource=admin" };

beforeEach(async () => {
  const { publicJwk, privateKey } = await generateClientKey();
  publicKey = await importPublicKey(publicJwk);
  asked = [];
  answer = { status: 200, headers: [["content-type", "application/json"]], body: JSON.stringify(SEEDS) };
  server = http.createServer((request, response) => {
    void (async () => {
      let length = 0;
      for await (const chunk of request) length += (chunk as Buffer).length;
      const bearer = readBearer("request", request.headers["relay-authorization"] as string);
      await verifySignature(bearer, [publicKey]);
      const claims = checkRequestClaims(bearer.claims, origin, Date.now() / 1_000, "resolve");
      asked.push({ method: request.method, url: request.url, claims, length });
      response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(answer.body);
    })().catch((error: unknown) => response.writeHead(500).end(String(error)));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  origin = `http://127.0.0.1:${port}`;
  relayUrl = `http://app:${privateKey}@127.0.0.1:${port}`;
});

afterEach(() => {
  server.closeAllConnections();
  server.close();
});

describe("resolveService", () => {
  test("asks the edge with a token for this name and act alone, and no body", async () => {
    expect(await resolveService(relayUrl, "C0.abc.example.net")).toEqual(SEEDS);
    expect(asked).toMatchObject([
      {
        method: "POST",
        url: "/resolve",
        length: 0,
        claims: { iss: "app", act: "resolve", htm: "POST", url: "mongodb+srv://c0.abc.example.net" },
      },
    ]);
  });

  test("a refusal comes as what it is", async () => {
    answer = problemResponse(new RelayError("target_not_allowed", "a.abc.example.net is not allowed"));
    await expect(resolveService(relayUrl, "c0.abc.example.net")).rejects.toMatchObject({
      code: "target_not_allowed",
      detail: "a.abc.example.net is not allowed",
    });
  });

  test("an answer of something else than the edge", async () => {
    answer = { status: 404, headers: [], body: "not here" };
    await expect(resolveService(relayUrl, "c0.abc.example.net")).rejects.toMatchObject({
      code: "edge_failed",
    });
    answer = { status: 302, headers: [["location", "/elsewhere"]], body: "" };
    await expect(resolveService(relayUrl, "c0.abc.example.net")).rejects.toMatchObject({
      code: "edge_failed",
    });
  });

  test("no edge at all, and a caller who leaves", async () => {
    server.close();
    await expect(resolveService(relayUrl, "c0.abc.example.net")).rejects.toMatchObject({
      code: "edge_unreachable",
      reached: "no",
    });
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(resolveService(relayUrl, "c0.abc.example.net", { signal })).rejects.toThrow("enough");
  });

  test("a name that is none", async () => {
    await expect(resolveService(relayUrl, "c0..example.net")).rejects.toMatchObject({ code: "url_invalid" });
    await expect(resolveService(relayUrl, "example.net")).rejects.toThrow("at least three labels");
    expect(asked).toEqual([]);
  });
});

test("the edge itself takes the token, and gives what a node found", async () => {
  const pool = await startFakePool(2, ["tcp://*.abc.example.net:27017"]);
  try {
    for (const node of pool.nodes) {
      node.answer = (_request, response, { grant }) =>
        response
          .writeHead(200, { "Relay-Status": "target", "Relay-Node": grant.aud })
          .end(JSON.stringify(SEEDS));
    }
    expect(await resolveService(pool.relayUrl, "c0.abc.example.net")).toEqual(SEEDS);
    await expect(resolveService(pool.relayUrl, "c0.other.example.net")).rejects.toMatchObject({
      code: "target_not_allowed",
    });
  } finally {
    await pool.stop();
  }
});

describe("an answer", () => {
  const seed = (host: unknown, port: unknown = 1) => JSON.stringify({ seeds: [{ host, port }], options: "" });

  test.each([
    ["abc.example.net", seed("a.abc.example.net")],
    ["abc.example.net", seed("a.b.abc.example.net")],
  ])("within %s: %s", (name, text) => {
    expect(checkSeedList(text, name).seeds).toHaveLength(1);
  });

  test.each([
    ["abc.example.net", "nothing", "is no JSON"],
    ["abc.example.net", "null", "names no hosts"],
    ["abc.example.net", `{"seeds":[],"options":""}`, "names no hosts"],
    ["abc.example.net", `{"seeds":[{"host":"a.abc.example.net","port":1}]}`, "no valid options"],
    ["abc.example.net", seed("a.abc.example.net").replace('""', '"a b"'), "no valid options"],
    ["abc.example.net", seed(null), "without host or port"],
    ["abc.example.net", seed("a.abc.example.net", "1"), "without host or port"],
    ["abc.example.net", seed("a.abc.example.net", 0), "no DNS name"],
    ["abc.example.net", seed("a.abc.example.net/x"), "no DNS name"],
    ["abc.example.net", seed("a.evil.example"), "leads to a.evil.example, outside of abc.example.net"],
    ["abc.example.net", seed("evil-abc.example.net"), "outside of"],
    ["abc.example.net", seed("abc.example.net"), "outside of"],
  ])("within %s is refused: %s", (name, text, why) => {
    expect(() => checkSeedList(text, name)).toThrow(why);
  });

  test("with more hosts than any cluster has is refused", () => {
    const text = JSON.stringify({ seeds: Array(101).fill(SEEDS.seeds[0]), options: "" });
    expect(() => checkSeedList(text, "abc.example.net")).toThrow("more than 100");
  });
});
