import { once } from "node:events";
import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createCa } from "../../dev/certificates.ts";
import { importPublicKey } from "../../protocol/keys.ts";
import { CONSUMED_BATCH_MAX_BYTES, CONSUMED_BATCH_MAX_ENTRIES } from "../../protocol/limits.ts";
import { verifyNodeMessage } from "../../protocol/node-messages.ts";
import { digestOf, newRequestId } from "../../protocol/tokens.ts";
import { ed25519, hmac, unsigned } from "../support/compact-jws.ts";
import { type CountingTarget, startCountingTarget } from "../support/counting-target.ts";
import {
  type FakePeer,
  memory,
  type MessageChanges,
  messageToken,
  startFakePeer,
} from "../support/fake-peer.ts";
import { eventually } from "../support/node-log.ts";
import {
  nodeIdentity,
  type NodeIdentity,
  type NodeProcess,
  peerEntry,
  startNodeProcess,
} from "../support/node-process.ts";
import { rawRequest, sendRaw } from "../support/raw-http.ts";
import { expectRefusal } from "../support/refusal.ts";

/** What a node says to its peers and takes from them, seen from a peer that is the test's own. */

const PASS = "AAECAwQFBgc";

let target: CountingTarget;
let own: NodeIdentity;
let other: NodeIdentity;
let node: NodeProcess;
let peer: FakePeer;

beforeAll(async () => {
  target = await startCountingTarget({ answer: (_request, response) => void response.end("ok") });
  own = await nodeIdentity("node-1");
  other = await nodeIdentity("node-2", own.ca);
  peer = await startFakePeer(other);
  node = await startNodeProcess({ peers: [peerEntry(other)], relayCa: "ca.pem", drainSeconds: 0 }, own);
});
beforeEach(() => {
  peer.answer = memory([]);
  peer.told.length = 0;
});
afterEach(() => expect(node.isAlive()).toBe(true));
afterAll(async () => {
  await node.stop();
  await peer.away();
  await target.close();
});

const seconds = () => Math.floor(Date.now() / 1_000);
const entry = (jti: string, mark = `0 ${PASS}`) => `app ${jti} ${mark}`;
const ask = (claims: Record<string, unknown> = {}) =>
  node.ask({ claims: { url: `http://127.0.0.1:${target.port}/x`, pass: PASS, ...claims } });

async function use(): Promise<string> {
  const jti = newRequestId();
  expect((await ask({ jti }))?.field("relay-status")).toBe("target");
  return jti;
}

/** Sends a message as the peer would, or with something wrong. */
function say(path: string, act: string, body: string, changes: MessageChanges & { lines?: string[] } = {}) {
  const token = messageToken(other, act, body, changes);
  return sendRaw(
    { port: node.port, ca: node.ca },
    rawRequest(
      `POST ${path}`,
      [
        "Host: localhost",
        "Connection: close",
        `Relay-Authorization: Bearer ${token}`,
        ...(changes.lines ?? [`Content-Length: ${body.length}`]),
      ],
      body,
    ),
  );
}

describe("a used id is told", () => {
  test("in a message that the node's key proves, and over a connection that is kept", async () => {
    const key = createPublicKey(own.signingKey).export({ format: "jwk" });
    const peers = new Map([["node-1", await importPublicKey(key)]]);
    const connections = peer.connections();
    for (let i = 0; i < 5; i++) {
      const jti = await use();
      await eventually(() => peer.lines().includes(entry(jti)), "it was told");
    }
    expect(peer.connections() - connections).toBeLessThanOrEqual(1);
    for (const { path, authorization, body } of peer.told) {
      expect(path).toBe("/consumed");
      const context = { audience: "node-2", nodes: peers, act: "consumed", now: seconds() } as const;
      const { digest } = await verifyNodeMessage(authorization, context);
      expect(digest).toBe(await digestOf(new TextEncoder().encode(body)));
    }
  });

  test("with others of the same moment", async () => {
    const used = await Promise.all(Array.from({ length: 50 }, use));
    await eventually(() => used.every((jti) => peer.lines().includes(entry(jti))), "all were told");
    expect(peer.told.length).toBeLessThan(40);
    expect(peer.lines()).toHaveLength(50);
  });

  test("though its peer hangs, errs or is gone, when that is over; and no request waits for it", async () => {
    const used: string[] = [];
    const queued = async () =>
      Number(/^holdfast_consumed_queued\{peer="node-2"\} (.*)$/m.exec((await scrape()) ?? "")?.[1]);
    const states: (() => unknown)[] = [
      () => (peer.answer = () => {}),
      () => (peer.answer = (_told, response) => void response.writeHead(500).end("x".repeat(1_000))),
      () => (peer.answer = (_told, response) => void response.destroy()),
      () => peer.away(),
    ];
    const lost = logged("peer lost");
    for (const state of states) {
      await state();
      for (let i = 0; i < 3; i++) {
        const began = performance.now();
        used.push(await use());
        expect(performance.now() - began).toBeLessThan(1_500);
        await pause(60);
      }
    }
    expect(await queued()).toBe(used.length);
    await eventually(() => logged("peer lost") === lost + 1, "it is lost");
    peer.answer = memory([]);
    peer.told.length = 0;
    await peer.listen();
    await eventually(() => used.every((jti) => peer.lines().includes(entry(jti))), "all were told");
    await eventually(() => logged("peer found") > 0, "it is found");
    expect(logged("peer lost")).toBe(lost + 1);
    expect(await queued()).toBe(0);
  });

  test("at once when a lost peer shows that it is back", async () => {
    peer.answer = (_told, response) => void response.writeHead(500).end();
    const jti = await use();
    // After this many tries the next one is 1.6 s away.
    await eventually(() => peer.told.length >= 5, "it was tried");
    peer.answer = memory([]);
    peer.told.length = 0;
    expect((await say("/consumed", "consumed", ""))?.status).toBe(204);
    await eventually(() => peer.lines().includes(entry(jti)), "it was told", 1_000);
  });

  const logged = (msg: string) => node.log().filter((line) => line["msg"] === msg).length;
  const scrape = async () =>
    (await sendRaw({ port: node.metricsPort }, rawRequest("GET /metrics", ["Host: x", "Connection: close"])))
      ?.body;
});

describe("a node that goes", () => {
  afterEach(() => node.restart());

  test("has told the last id", async () => {
    // What its peer would not take before, too, which waits for a next try that is far off.
    peer.answer = (_told, response) => void response.writeHead(500).end();
    const jti = await use();
    await pause(2_000);
    peer.answer = memory([]);
    peer.told.length = 0;
    const gone = once(node.process(), "exit");
    node.process().kill("SIGTERM");
    expect(await gone).toEqual([0, null]);
    expect(peer.lines()).toContain(entry(jti));
  });

  test("does not wait long for a peer that hangs", async () => {
    peer.answer = () => {};
    await use();
    const gone = once(node.process(), "exit");
    const began = performance.now();
    node.process().kill("SIGTERM");
    expect(await gone).toEqual([0, null]);
    expect(performance.now() - began).toBeLessThan(2_500);
    expect(node.log()).toContainEqual(expect.objectContaining({ msg: "peer not told its last ids", ids: 1 }));
    peer.answer = memory([]);
  });
});

describe("a node that starts", () => {
  test("takes over what its peer remembers, before it serves", async () => {
    const used = Array.from({ length: 5_000 }, newRequestId);
    peer.answer = memory([...used.map((jti) => entry(jti)), entry(newRequestId(), "0 -")]);
    await node.restart();
    for (const jti of [used[0]!, used[2_500]!, used.at(-1)!]) {
      expectRefusal(await ask({ jti, pass: "another-pass" }), "token_replayed");
      expect((await ask({ jti, attempt: 1 }))?.status).toBe(200);
    }
    // What was used before the start is not refused for its age, since the peer could be asked.
    expect((await ask({ tat: seconds() - 30 }))?.status).toBe(200);
  });

  test("refuses what is older than its peer's memory", async () => {
    peer.answer = memory([], seconds() - 10);
    await node.restart();
    expectRefusal(await ask({ tat: seconds() - 20 }), "request_predates_node");
    expect((await ask({ tat: seconds() }))?.status).toBe(200);
  });

  test("is not kept from its service by a peer whose clock is ahead", async () => {
    peer.answer = memory([], seconds() + 1_000);
    await node.restart();
    expect((await ask({ tat: seconds() }))?.status).toBe(200);
  });

  const HALF = `since 0\n${entry("AAECAwQFBgcICQoLDA0ODw")}\napp AAEC`;
  const FAULTS: readonly (readonly [what: string, answer: FakePeer["answer"]])[] = [
    ["refuses", (_told, response) => void response.writeHead(401, { "Relay-Error": "token_expired" }).end()],
    ["answers with nothing", (_told, response) => void response.end()],
    ["answers with a page", (_told, response) => void response.end("<html>\n</html>\n")],
    ["answers without a last line end", (_told, response) => void response.end(HALF)],
    ["names what is no id", (_told, response) => void response.end("since 0\n../../etc/passwd\n")],
    ["says no moment", (_told, response) => void response.end("since -1\n")],
    ["sends a line without an end", (_told, response) => void response.end("x".repeat(200_000))],
    ["is cut", (_told, response) => void response.write(HALF, () => response.destroy())],
    ["is silent", () => {}],
    ["stands still in the middle", (_told, response) => void response.write(HALF)],
  ];
  test.each(FAULTS)("takes new requests and no older ones where its peer %s", async (_what, answer) => {
    peer.answer = answer;
    const before = seconds();
    await node.restart();
    expectRefusal(await ask({ tat: before }), "request_predates_node");
    expect((await ask({ tat: seconds() }))?.status).toBe(200);
  });

  test("does the same where a stranger stands in its peer's place", async () => {
    await peer.away();
    const stranger = await startFakePeer(other, await createCa("A stranger's"));
    const before = seconds();
    await node.restart();
    expectRefusal(await ask({ tat: before }), "request_predates_node");
    expect(stranger.told).toEqual([]);
    await stranger.away();
    await peer.listen();
  });

  test("says so, refuses without using an id up, and yet answers its peers", async () => {
    const waiting = Promise.withResolvers<() => void>();
    peer.answer = (_told, response) => waiting.resolve(() => void response.end("since 0\n"));
    const restarted = node.restart();
    const letGo = await waiting.promise;
    const health = await node.get("/healthz");
    expect([health?.status, JSON.parse(health!.body)]).toEqual([503, { status: "starting", node: "node-1" }]);
    expect((await node.get("/whoami"))?.status).toBe(200);
    const [jti, heard] = [newRequestId(), newRequestId()];
    expect(expectRefusal(await ask({ jti }), "node_out_of_service")).toMatchObject({ retryable: true });
    expect((await say("/consumed", "consumed", `${entry(heard)}\n`))?.status).toBe(204);
    const read = await say("/consumed/read", "consumed-read", "");
    expect([read?.status, read?.body.split("\n")]).toEqual([200, expect.arrayContaining([entry(heard)])]);
    letGo();
    await restarted;
    expect((await node.get("/healthz"))?.status).toBe(200);
    expect((await ask({ jti }))?.status).toBe(200);
    expectRefusal(await ask({ jti: heard }), "token_replayed");
  });
});

describe("a message is taken", () => {
  test("from a peer; what it tells survives a kill", async () => {
    const [plain, forbidden] = [newRequestId(), newRequestId()];
    const batch = `${entry(plain)}\n${entry(forbidden, "0 -")}\n`;
    for (let i = 0; i < 2; i++) expect((await say("/consumed", "consumed", batch))?.status).toBe(204);
    for (let i = 0; i < 2; i++) {
      expectRefusal(await ask({ jti: plain }), "token_replayed");
      for (const attempt of [0, 1]) expectRefusal(await ask({ jti: forbidden, attempt }), "token_replayed");
      await node.restart();
    }
  });

  test("that asks for the node's memory, and what the node uses and hears is in it", async () => {
    const [used, heard] = [await use(), newRequestId()];
    await say("/consumed", "consumed", `${entry(heard)}\n`);
    const answer = await say("/consumed/read", "consumed-read", "");
    const lines = answer!.body.split("\n");
    expect(lines[0]).toBe("since 0");
    expect(lines).toEqual(expect.arrayContaining([entry(used), entry(heard)]));
    expect(answer!.field("cache-control")).toBe("no-store");
  });

  test("with as many ids as are allowed", async () => {
    const batch = `${Array.from({ length: CONSUMED_BATCH_MAX_ENTRIES }, () => entry(newRequestId())).join("\n")}\n`;
    expect((await say("/consumed", "consumed", batch))?.status).toBe(204);
  });

  const stranger = generateKeyPairSync("ed25519").privateKey;
  const now = seconds();
  const REFUSED: readonly (readonly [string, Parameters<typeof expectRefusal>[1], MessageChanges])[] = [
    ["signed by a stranger", "token_signature", { signer: ed25519(stranger) }],
    ["signed by nobody", "token_malformed", { signer: unsigned, header: { alg: "none" } }],
    ["by a key that is no key pair's", "token_signature", { signer: hmac("x"), header: { alg: "HS256" } }],
    ["of a node that is no peer", "token_signature", { claims: { iss: "node-3" } }],
    ["of the node itself", "token_signature", { claims: { iss: "node-1" } }],
    ["of nobody", "token_signature", { claims: { iss: undefined } }],
    ["of another kind", "token_type", { header: { typ: "holdfast-request+jwt" } }],
    ["for another node", "token_audience", { claims: { aud: "node-3" } }],
    ["for another purpose", "token_act", { claims: { act: "fetch" } }],
    ["that is over", "token_expired", { claims: { iat: now - 100, exp: now - 80 } }],
    ["of the future", "token_premature", { claims: { iat: now + 600, exp: now + 630 } }],
    ["that lives too long", "token_lifetime", { claims: { exp: now + 600 } }],
    ["without an end", "token_malformed", { claims: { exp: undefined } }],
    ["without a digest", "token_malformed", { claims: { digest: undefined } }],
    ["without an id", "token_malformed", { claims: { jti: "x" } }],
  ];
  test.each(REFUSED)("but not one %s, and nothing is read of its body", async (_what, code, changes) => {
    const jti = newRequestId();
    const batch = `${entry(jti)}\n`;
    for (const [path, act] of [
      ["/consumed", "consumed"],
      ["/consumed/read", "consumed-read"],
    ] as const) {
      const whole = await say(path, act, batch, changes);
      expectRefusal(whole, code);
      expect(whole!.status).toBe(401);
      expect(whole!.body).not.toContain("app ");
      // The answer comes although the body doesn't.
      expectRefusal(await say(path, act, "", { ...changes, lines: ["Content-Length: 1000000"] }), code);
    }
    expect((await ask({ jti }))?.status).toBe(200);
  });

  test("but not one for the other door", async () => {
    expectRefusal(await say("/consumed", "consumed-read", ""), "token_act");
    expectRefusal(await say("/consumed/read", "consumed", ""), "token_act");
  });

  test("but not one without a token", async () => {
    const lines = ["Host: localhost", "Connection: close", "Content-Length: 1000000"];
    for (const path of ["/consumed", "/consumed/read"]) {
      const answer = await sendRaw({ port: node.port, ca: node.ca }, rawRequest(`POST ${path}`, lines));
      expectRefusal(answer, "token_missing");
    }
    expect((await node.get("/consumed"))?.status).toBe(404);
  });

  const many = `${Array.from({ length: CONSUMED_BATCH_MAX_ENTRIES + 1 }, () => entry(newRequestId())).join("\n")}\n`;
  test.each([
    ["another digest", "body_digest", "x\n", { claims: { digest: `sha-256=:${"A".repeat(43)}=:` } }],
    ["too long a body", "too_large", "", { lines: [`Content-Length: ${CONSUMED_BATCH_MAX_BYTES + 1}`] }],
    ["a body of no length", "request_invalid", "", { lines: ["Transfer-Encoding: chunked"] }],
    ["a line that is no id", "request_invalid", "app x 0 AAECAwQFBgc\n", {}],
    ["a line without an end", "request_invalid", entry(newRequestId()), {}],
    ["an empty line", "request_invalid", "\n", {}],
    ["too many lines", "request_invalid", many, {}],
    ["a line end in a client's name", "request_invalid", `a\rpp ${newRequestId()} 0 ${PASS}\n`, {}],
  ] as const)("but not one with %s", async (_what, code, body, changes) => {
    expectRefusal(await say("/consumed", "consumed", body, changes as MessageChanges), code);
  });
});
