import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RelayError } from "../../protocol/errors.ts";
import { type FakePool, fails, page, resets, startFakePool, targets } from "../support/fake-pool.ts";
import {
  AGAIN,
  answering,
  answerOf,
  ask,
  type Breaking,
  failing,
  meet,
  ONCE,
  poolWire,
  TARGET,
} from "../support/pool-caller.ts";
import { EdgeCall } from "../support/raw-caller.ts";

/** A node that may have begun: what can't be repeated is not, and its caller is told so. Each case has nodes of its own. */

let pool: FakePool;
beforeAll(async () => {
  pool = await startFakePool(170, [TARGET]);
});
afterAll(() => pool.stop());

const DOUBTS = [
  { what: "resets after the last byte", breaking: answering(resets), error: "node_unreachable" },
  {
    what: "closes after the last byte",
    breaking: answering((request) => void request.socket.end()),
    error: "node_unreachable",
  },
  {
    what: "breaks off in its answer's head",
    breaking: answering((request) => void request.socket.end("HTTP/1.1 200 OK\r\nRelay-Status: tar")),
    error: "node_unreachable",
  },
  {
    what: "is cut off by the end of its drain",
    breaking: failing("node_draining", { reached: "unknown" }),
    error: "node_draining",
  },
  { what: "failed somehow", breaking: failing("node_internal"), error: "node_internal" },
  {
    what: "has no memory of that time",
    breaking: failing("request_predates_node"),
    error: "request_predates_node",
  },
  ...[520, 522, 524, 530, 502, 503, 404, 302, 200].map((status) => ({
    what: `has a page of ${status} before it`,
    breaking: answering(page(status)),
    error: "node_failed",
  })),
];

describe.each(DOUBTS)("a node that $what", ({ breaking, error }) => {
  test("a POST ends there", async () => {
    const { mark, reached, first, second } = await meet(pool, breaking, ONCE[0]);
    expect([mark, reached]).toEqual([error, "unknown"]);
    expect([first.sent.length, second.heads]).toEqual([1, 0]);
  });

  test("a GET goes to the second, as a second attempt", async () => {
    const { mark, node, first, second } = await meet(pool, breaking);
    expect([mark, node]).toEqual(["target", second.id]);
    expect([first.sent.length, second.sent.length]).toEqual([1, 1]);
  });
});

test.each(ONCE)("$what ends there", async ({ what: _what, ...call }) => {
  const { reached, first, second } = await meet(pool, answering(resets), call);
  expect([reached, first.sent.length, second.heads]).toEqual(["unknown", 1, 0]);
  const [{ grant, body, tail }] = first.sent as [(typeof first.sent)[number]];
  expect([grant.tail, body]).toEqual([tail, call.body ?? ""]);
  expect(tail).toBeGreaterThan(0);
});

test.each(AGAIN)("$what goes on, in the same pass, as another attempt", async ({ what: _what, ...call }) => {
  const { mark, node, first, second } = await meet(pool, answering(resets), call);
  expect([mark, node]).toEqual(["target", second.id]);
  const [before, after] = [first.sent[0]!, second.sent[0]!];
  expect([before.grant.attempt, after.grant.attempt]).toEqual([0, 1]);
  const same = ({ grant: { pass, jti, tat, idempotent } }: typeof before) => [pass, jti, tat, idempotent];
  expect(same(after)).toEqual(same(before));
  expect(after.grant.idempotent).toBe("idempotent" in call.claims ? true : undefined);
  // What may be repeated needs no tail.
  expect([before.grant.tail, after.grant.tail, after.body]).toEqual([undefined, undefined, call.body ?? ""]);
});

test("each time that the edge serves a request has a pass of its own", async () => {
  const nodes = pool.pair();
  await ask(pool, { nodes });
  await ask(pool, { nodes });
  const passes = nodes.flatMap(({ sent }) => sent.map(({ grant }) => grant.pass));
  expect(new Set(passes).size).toBe(2);
});

describe("what is told where the second node fails too", () => {
  test.each([
    { first: "node_internal", second: "connect_refused", told: "connect_refused", reached: "unknown" },
    { first: "node_internal", second: "dns_failed", told: "dns_failed", reached: "unknown" },
    { first: "node_internal", second: "address_refused", told: "address_refused", reached: "unknown" },
    { first: "node_internal", second: "target_timeout", told: "target_timeout", reached: "yes" },
    // Of two failures of nodes, the one of the node that may have begun.
    { first: "node_internal", second: "node_draining", told: "node_internal", reached: "unknown" },
    { first: "node_draining", second: "node_internal", told: "node_internal", reached: "unknown" },
    { first: "node_draining", second: "connect_refused", told: "connect_refused", reached: "no" },
  ] as const)("$first, then $second: $told, reached $reached", async ({ first, second, told, reached }) => {
    const nodes = pool.pair();
    nodes[0].answer = fails(new RelayError(first, "it says so"));
    nodes[1].answer = fails(new RelayError(second, "it says so"));
    const got = await ask(pool, { nodes });
    expect([got.mark, got.reached]).toEqual([told, reached]);
    expect(JSON.parse(got.body)).toMatchObject({ code: told, reached });
    expect(nodes.map(({ sent }) => sent.length)).toEqual([1, 1]);
  });
});

describe("an answer that is the last word", () => {
  test.each([
    "dns_failed",
    "connect_refused",
    "tls_failed",
    "address_refused",
    "target_closed",
    "target_timeout",
    "token_replayed",
    "rate_limited",
    "body_digest",
  ] as const)("%s: nobody else is asked, and the node stays in use", async (code) => {
    const { mark, first, second } = await meet(pool, failing(code));
    expect([mark, first.sent.length, second.heads]).toEqual([code, 1, 0]);
    first.answer = targets("still here");
    expect(await ask(pool, { nodes: [first, second] })).toMatchObject({ node: first.id, body: "still here" });
  });
});

describe("never to another node", () => {
  const UPLOADS = [
    { what: "in chunks", framing: "chunked", body: "amount=100" },
    { what: "longer than what is held", framing: 65_537, body: "x".repeat(65_537) },
  ] as const;
  const BROKEN: readonly { how: string; breaking: Breaking; reached: string }[] = [
    { how: "nobody listens", breaking: (node) => node.shut(), reached: "unknown" },
    { how: "it resets at the end", breaking: answering(resets), reached: "unknown" },
    { how: "it drains", breaking: failing("node_draining"), reached: "no" },
  ];
  describe.each(BROKEN)("$how", ({ breaking, reached }) => {
    test.each(UPLOADS)("an upload $what", async ({ framing, body }) => {
      const call = { method: "PUT", framing, body, claims: { idempotent: true } };
      const got = await meet(pool, breaking, call);
      expect([got.reached, got.second.heads]).toEqual([reached, 0]);
    });
  });

  test.each([
    { ...AGAIN[0], reached: "unknown" },
    { ...ONCE[0], reached: "no" },
  ])("what is meant for one node: $what", async ({ what: _what, reached, ...call }) => {
    const [first, second] = pool.pair();
    await first.shut();
    const got = await ask(pool, { nodes: [first], ...call });
    expect([got.mark, got.reached, second.heads]).toEqual(["node_unreachable", reached, 0]);
  });

  test("what came too late: its token has expired, and the nodes' memory of its id soon will", async () => {
    const nodes = pool.pair();
    const now = Math.floor(Date.now() / 1_000);
    // Good for two seconds more, by the leeway for clocks.
    const claims = { iat: now - 60, exp: now - 3 };
    const wire = await poolWire(pool, { nodes, ...ONCE[0], claims });
    const call = await EdgeCall.begin(pool.edge, wire);
    await pause(3_000);
    await call.send(ONCE[0].body);
    const { mark, reached } = answerOf(await call.head, "");
    expect([mark, reached]).toEqual(["token_expired", "no"]);
    expect(nodes.map(({ heads }) => heads)).toEqual([0, 0]);
  });
});
