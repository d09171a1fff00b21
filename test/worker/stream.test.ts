import { once } from "node:events";
import { connect } from "node:net";
import type { Duplex } from "node:stream";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RelayError } from "../../protocol/errors.ts";
import type { GrantClaims } from "../../protocol/grants.ts";
import { STREAM_PROTOCOL } from "../../protocol/stream-messages.ts";
import { newRequestId } from "../../protocol/tokens.ts";
import { type FakePool, fails, idFor, page, startFakePool } from "../support/fake-pool.ts";
import { FAKE_EGRESS, takesStream } from "../support/fake-stream.ts";
import { rawRequest } from "../support/raw-http.ts";
import { openAt, type PoolStream, streamToken } from "../support/stream-caller.ts";

const TARGET = "tcp://db.example.com:5432";
let pool: FakePool;
beforeAll(async () => {
  pool = await startFakePool(60, [
    TARGET,
    "https://api.example.com",
    "https://paths.example.com/v1/*",
    "tcp://[2001:db8::1]:22",
  ]);
});
afterAll(() => pool.stop());

const echo = takesStream((socket) =>
  socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary })),
);

/** Opens a stream to the usual target. */
const open = (stream: Omit<PoolStream, "url"> & { readonly url?: string }) =>
  openAt(pool, { url: TARGET, ...stream });

describe("a stream", () => {
  test("is the node's own WebSocket, under a grant for that target", async () => {
    const [node] = pool.pair();
    const grants: GrantClaims[] = [];
    node.upgrade = (request, socket, head, grant) => {
      grants.push(grant);
      echo(request, socket, head, grant);
    };
    const jti = idFor([node]);
    const { socket, inbox, fields } = await open({ nodes: [node], claims: { jti } });
    expect(socket!.protocol).toBe(STREAM_PROTOCOL);
    expect(fields).toMatchObject({
      "relay-status": "target",
      "relay-node": node.id,
      "relay-egress": FAKE_EGRESS,
      "relay-request-id": jti,
    });
    socket!.send(Buffer.from([0, 1, 255]));
    expect(await inbox!.next()).toEqual(Buffer.from([0, 1, 255]));
    socket!.send("text");
    expect(await inbox!.next()).toBe("text");
    expect(grants).toHaveLength(1);
    expect(grants[0]).toMatchObject({
      act: "stream",
      htm: "GET",
      url: TARGET,
      framing: "none",
      jti,
      aud: node.id,
      sub: "app",
      attempt: 0,
    });
    expect(grants[0]).not.toHaveProperty("resume");
    socket!.close();
  });

  test("is opened for an https target without path, and for an address in brackets", async () => {
    const [node] = pool.pair();
    node.upgrade = echo;
    for (const url of ["tcp://api.example.com:443", "tcp://[2001:db8::1]:22"]) {
      const { socket } = await open({ nodes: [node], url });
      expect(socket).toBeDefined();
      socket!.close();
    }
  });

  test("has no protocol where none is offered, and the node is told of none but its own", async () => {
    const [node] = pool.pair();
    const offered: (string | undefined)[] = [];
    node.upgrade = (request, ...rest) => {
      offered.push(request.headers["sec-websocket-protocol"]);
      echo(request, ...rest);
    };
    const bare = await open({ nodes: [node], protocols: [] });
    expect(bare.socket!.protocol).toBe("");
    const both = await open({ nodes: [node], protocols: ["mqtt", STREAM_PROTOCOL] });
    expect(both.socket!.protocol).toBe(STREAM_PROTOCOL);
    expect(offered).toEqual([undefined, STREAM_PROTOCOL]);
    for (const { socket } of [bare, both]) socket!.close();
  });

  test("goes on at the one node that is named, with the offsets in its grant", async () => {
    const [node] = pool.pair();
    const grants: GrantClaims[] = [];
    node.upgrade = (request, socket, head, grant) => {
      grants.push(grant);
      echo(request, socket, head, grant);
    };
    const resume = { stream: newRequestId(), received: 5, sent: 7 };
    const { socket } = await open({ nodes: [node], claims: { resume, node: node.id } });
    expect(grants[0]!.resume).toEqual(resume);
    socket!.close();
  });

  test("ends at the node when its caller is gone, and at the caller when the node is", async () => {
    const [node, other] = pool.pair();
    let ended: Promise<unknown> | undefined;
    node.upgrade = takesStream((socket) => void (ended = once(socket, "close")));
    const leaving = await open({ nodes: [node] });
    leaving.socket!.terminate();
    await ended;
    other.upgrade = takesStream((socket) => socket.once("message", () => socket.close(1_001, "away")));
    const left = await open({ nodes: [other] });
    left.socket!.send("go");
    const [code] = (await once(left.socket!, "close")) as [number];
    expect(code).toBe(1_001);
  });
});

describe("another node is asked where the first", () => {
  const FIRST: readonly (readonly [string, (first: FakePool["nodes"][number]) => void | Promise<void>])[] = [
    ["does not listen", (first) => first.shut()],
    [
      "resets the connection once it was asked",
      (first) => void (first.upgrade = (_, socket) => socket.destroy()),
    ],
    ...(["node_draining", "node_out_of_service", "node_internal", "grant_expired"] as const).map(
      (code) =>
        [
          `says ${code}`,
          (first: FakePool["nodes"][number]) =>
            void (first.answer = fails(new RelayError(code, "it says so"))),
        ] as const,
    ),
    ["is hidden by a page", (first) => void (first.answer = page(502))],
  ];
  test.each(FIRST)("%s", async (_what, breaking) => {
    const nodes = pool.pair();
    const [first, second] = nodes;
    await breaking(first);
    const attempts: number[] = [];
    second.upgrade = (request, socket, head, grant) => {
      attempts.push(grant.attempt);
      echo(request, socket, head, grant);
    };
    const { socket, fields } = await open({ nodes });
    expect(fields["relay-node"]).toBe(second.id);
    expect(attempts).toEqual([1]);
    socket!.close();
  });

  test("was never asked: a resume goes to its own node alone", async () => {
    const nodes = pool.pair();
    const [first, second] = nodes;
    await first.shut();
    second.upgrade = echo;
    const resume = { stream: newRequestId(), received: 0, sent: 0 };
    const { refused } = await open({ nodes, claims: { resume, node: first.id } });
    // Bytes of the stream that goes on may have reached its target long ago.
    expect(refused).toMatchObject({ code: "node_unreachable", reached: "unknown" });
    expect(second.heads).toBe(0);
  });

  test("and there is none: nothing has reached the target", async () => {
    const [first] = pool.pair();
    await first.shut();
    const { refused } = await open({ nodes: [first] });
    expect(refused).toMatchObject({ code: "node_unreachable", reached: "no" });
  });
});

test.each(["dns_failed", "connect_refused", "connect_timeout", "address_refused", "rate_limited"] as const)(
  "a node's %s is passed on",
  async (code) => {
    const [node] = pool.pair();
    node.answer = fails(new RelayError(code, "it says so", { retryAfter: 3 }));
    const { refused, fields } = await open({ nodes: [node] });
    expect(refused).toMatchObject({ code, detail: "it says so", reached: "no", retryAfter: 3 });
    expect(fields["relay-node"]).toBe(node.id);
    expect(fields["content-type"]).toBe("application/problem+json");
  },
);

test("a caller that breaks off in mid-dial takes the dial with it", async () => {
  const [node] = pool.pair();
  const dialled = new Promise<Duplex>((asked) => {
    node.upgrade = (_request, socket) => asked(socket.resume());
  });
  const token = await streamToken(pool.relayUrl, TARGET, { jti: idFor([node]), node: node.id });
  const caller = connect(Number(new URL(pool.edge).port), "127.0.0.1").on("error", () => {});
  caller.write(
    rawRequest("GET /stream", [
      "Host: x",
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
      `Relay-Authorization: Bearer ${token}`,
    ]),
  );
  const closed = once(await dialled, "close");
  expect(pool.log()).not.toContain("rror");
  caller.resetAndDestroy();
  await expect(closed).resolves.toBeDefined();
});
