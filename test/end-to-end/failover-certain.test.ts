import { createServer as createTls } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createCa, issueCertificate } from "../../dev/certificates.ts";
import { RelayError } from "../../protocol/errors.ts";
import { digestOf } from "../../protocol/tokens.ts";
import { type FakePool, fails, page, startFakePool } from "../support/fake-pool.ts";
import { FORMS } from "../support/fidelity.ts";
import {
  AGAIN,
  answering,
  ask,
  type Breaking,
  connecting,
  failing,
  meet,
  ONCE,
  TARGET,
} from "../support/pool-caller.ts";

/** A node that certainly did not begin: the request goes to the second, once. Each case has nodes of its own. */

let pool: FakePool;
beforeAll(async () => {
  pool = await startFakePool(140, [TARGET]);
});
afterAll(() => pool.stop());

describe.each(FORMS)("nobody listens, $form", ({ form }) => {
  test.each([...ONCE, ...AGAIN])("$what", async ({ what: _what, ...call }) => {
    const fields = [
      ["X-Mine", "1"],
      ["Content-Type", "text/plain"],
    ] as const;
    const { mark, node, body, second } = await meet(pool, (first) => first.shut(), { ...call, form, fields });
    expect([mark, node, body]).toEqual(["target", second.id, "from the second"]);
    expect(second.sent).toHaveLength(1);
    const [sent] = second.sent;
    expect(sent!.body).toBe(call.body ?? "");
    const came = sent!.fields.map(([name, value]) => `${name.toLowerCase()}: ${value}`);
    expect(came.toSorted()).toEqual(["content-type: text/plain", "x-mine: 1"]);
  });
});

const strangers = createCa("Stranger CA").then((ca) => issueCertificate(ca, { dns: ["localhost"] }));
const STRANGER: Breaking = async (node) => {
  const tls = createTls(await strangers, (socket) => socket.on("error", () => {}));
  tls.on("tlsClientError", () => {});
  await node.takeConnections((socket) => void tls.emit("connection", socket));
};

describe.each([
  { what: "the connection is reset at once", breaking: connecting((socket) => socket.resetAndDestroy()) },
  { what: "the connection is closed at once", breaking: connecting((socket) => socket.end()) },
  {
    what: "it is reset in the handshake",
    breaking: connecting((socket) => socket.once("data", () => socket.resetAndDestroy())),
  },
  {
    what: "no TLS is spoken",
    breaking: connecting((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")),
  },
  { what: "the certificate is a stranger's", breaking: STRANGER },
])("$what", ({ breaking }) => {
  test.each([...ONCE, AGAIN[0]])("$what", async ({ what: _what, ...call }) => {
    const { mark, node, first, second } = await meet(pool, breaking, call);
    expect([mark, node, first.heads, second.sent.length]).toEqual(["target", second.id, 0, 1]);
    expect(second.sent[0]!.body).toBe(call.body ?? "");
  });
});

const REFUSALS = [
  { what: "it drains", breaking: failing("node_draining"), error: "node_draining" },
  { what: "it is out of service", breaking: failing("node_out_of_service"), error: "node_out_of_service" },
  {
    what: "it failed before it dialled",
    breaking: failing("node_internal", { reached: "no" }),
    error: "node_internal",
  },
  { what: "its grant key differs", breaking: failing("grant_invalid"), error: "grant_invalid" },
  { what: "its clock differs", breaking: failing("grant_expired"), error: "grant_expired" },
  {
    what: "it is another node",
    breaking: answering(fails(new RelayError("grant_node", "this is node-0"), "node-0")),
    error: "grant_node",
  },
  ...[521, 523, 525, 526].map((status) => ({
    what: `what stands before it answers ${status}`,
    breaking: answering(page(status)),
    error: "node_failed",
  })),
];
test.each(REFUSALS)("$what", async ({ breaking }) => {
  const { mark, node, first, second } = await meet(pool, breaking, ONCE[0]);
  expect([mark, node, first.sent.length]).toEqual(["target", second.id, 1]);
  expect(second.sent).toMatchObject([{ body: ONCE[0].body, grant: { attempt: 1 } }]);
  // It is the same pass; the first node might have used the id up before it found that it could not go on.
  expect(first.sent[0]!.grant).toMatchObject({ attempt: 0, pass: second.sent[0]!.grant.pass });
});

test.each(REFUSALS)(
  "$what, and so it is with the second: the target was not reached",
  async ({ breaking, error }) => {
    const nodes = pool.pair();
    for (const one of nodes) await breaking(one);
    expect(await ask(pool, { nodes, ...ONCE[0] })).toMatchObject({ mark: error, reached: "no" });
    expect(nodes.map((one) => one.sent.length)).toEqual([1, 1]);
  },
);

test("it drains, and says so before it has read the body", async () => {
  const draining = fails(new RelayError("node_draining", "it says so"));
  for (const { body } of [ONCE[0], ONCE[3], ONCE[3], ONCE[3]]) {
    const call = { method: "POST", body };
    const { mark, node, second } = await meet(pool, (first) => void (first.early = draining), call);
    expect([mark, node, second.sent.length]).toEqual(["target", second.id, 1]);
  }
});

test("nobody listens anywhere: the target was not reached", async () => {
  const nodes = pool.pair();
  for (const node of nodes) await node.shut();
  expect(await ask(pool, { nodes, ...ONCE[0] })).toMatchObject({ mark: "node_unreachable", reached: "no" });
});

test("what is signed of the body and what is asked for stand in the second node's grant too", async () => {
  const digest = await digestOf(new TextEncoder().encode("amount=100"));
  const claims = { digest, receipt: true };
  const { second } = await meet(pool, (first) => first.shut(), { ...ONCE[0], claims });
  const { grant } = second.sent[0]!;
  expect(grant).toMatchObject({ digest, receipt: true, framing: 10, htm: "POST", aud: second.id });
  expect(grant.exp - grant.iat).toBeLessThanOrEqual(30);
});
