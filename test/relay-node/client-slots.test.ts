import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ErrorCode } from "../../protocol/errors.ts";
import { newRequestId } from "../../protocol/tokens.ts";
import { type LimitedAsk, type LimitedNode, startLimitedNode } from "../support/client-limits.ts";
import { openRaw, parseAnswers, rawRequest, readRaw, sendRaw } from "../support/raw-http.ts";

/** A slot is freed on every way out: each case leaves a client with one slot, who then must have it again. */

const ONE = { concurrent: 1 };
let limited: LimitedNode;
beforeAll(async () => {
  limited = await startLimitedNode();
});
afterAll(() => limited.stop());

const upload = (path: string, claims: LimitedAsk["claims"], body: string, length = body.length) => ({
  path,
  claims: { htm: "POST", framing: length, ...claims },
  lines: [`Content-Length: ${length}`],
  body,
});
const WRONG = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";

/** Ways out that end in an answer: what is asked, and the code of the relay's own failure or the target's status. */
const ANSWERED: readonly (readonly [what: string, outcome: ErrorCode | number, ask: LimitedAsk])[] = [
  ["an answer", 200, {}],
  ["an answer to HEAD", 200, { claims: { htm: "HEAD" } }],
  ["an answer without a body", 200, { path: "/empty" }],
  ["an answer to an upload", 200, upload("/sink", {}, "abc")],
  ["a target that closes", "target_closed", { path: "/closes", claims: { htm: "POST" } }],
  ["a safe request that is tried again", "target_closed", { path: "/closes" }],
  ["a target that speaks no HTTP", "target_protocol", { path: "/garbage" }],
  ["a target that refuses", "connect_refused", { claims: { url: "http://127.0.0.1:9/" } }],
  ["an address that is not allowed", "address_refused", { claims: { url: "http://10.0.0.1/" } }],
  ["a name that can't be looked up", "dns_failed", { claims: { url: "http://nowhere.test/" } }],
  ["a field that is none", "fields_invalid", { fields: [["Host", "x"]] }],
  ["another framing", "token_framing", { claims: { framing: 7 }, lines: ["Content-Length: 3"], body: "abc" }],
  ["another body, held whole", "body_digest", upload("/sink", { digest: WRONG }, "abc")],
  ["another body, streamed", "body_digest", upload("/sink", { digest: WRONG }, "x".repeat(70_000))],
];

test.each(ANSWERED)("%s", async (what, outcome, ask) => {
  const client = idFrom(what);
  const answer = await limited.ask(ONE, { ...ask, client });
  const code = answer?.field("relay-error");
  expect(code ?? answer?.status).toBe(outcome);
  await isFree(client);
});

test("a replay is refused, and so is what comes beside a slot that is taken", async () => {
  const client = "replays";
  const jti = newRequestId();
  expect((await limited.ask(ONE, { client, claims: { jti } }))?.status).toBe(200);
  expect((await limited.ask(ONE, { client, claims: { jti } }))?.field("relay-error")).toBe("token_replayed");
  const before = limited.seen();
  const held = limited.ask(ONE, { client, path: "/wait" });
  await begun(before);
  const beside = await limited.ask(ONE, { client });
  expect([beside?.field("relay-error"), beside?.field("retry-after")]).toEqual(["concurrency_limited", "1"]);
  expect(await limited.slots()).toBe(1);
  limited.letGo();
  expect((await held)?.body).toBe("late");
  await isFree(client);
});

/** Ways out without a whole answer: what is asked, and what the caller does when the request is under way. */
const CUT: readonly (readonly [
  what: string,
  ask: LimitedAsk,
  limits: object,
  then: "leave" | "cancel" | "read",
])[] = [
  ["a caller that leaves before the answer", { path: "/wait" }, {}, "leave"],
  ["a caller that leaves within the answer", { path: "/begin" }, {}, "leave"],
  ["a caller that leaves within the upload", upload("/sink", {}, "abc", 1_000_000), {}, "leave"],
  ["a caller that gives up", { path: "/wait" }, {}, "cancel"],
  ["a caller that gives up within the answer", { path: "/begin" }, {}, "cancel"],
  ["a target that breaks off", { path: "/breaks" }, {}, "read"],
  ["an answer before the upload's end", upload("/early", {}, "abc", 1_000_000), {}, "leave"],
  [
    "a caller that leaves an answer that waits for bytes",
    { path: "/bytes/9000000" },
    { bytes: 100_000 },
    "leave",
  ],
  ["a caller that gives that up", { path: "/bytes/9000000" }, { bytes: 1_000 }, "cancel"],
  [
    // The node hears of it once what had come by then is worked off.
    "a caller that leaves an upload that waits for bytes",
    upload("/sink", {}, "x".repeat(300_000), 1_000_000),
    { bytes: 100_000 },
    "leave",
  ],
];

test.each(CUT)("%s", async (what, ask, limits, then) => {
  const client = idFrom(what);
  const jti = newRequestId();
  const { node } = limited;
  const claims = { ...ask.claims, jti };
  const before = limited.seen();
  const socket = await openRaw({ port: node.port, ca: node.ca });
  const reading = readRaw(socket, 5_000);
  socket.write(limited.bytes({ ...ONE, ...limits }, { ...ask, client, claims }));
  await begun(before);
  if (then === "leave") socket.destroy();
  if (then === "cancel") {
    const grant = node.grant({
      claims: { ...claims, sub: client, act: "cancel", url: `${limited.origin}${ask.path}` },
    });
    const fields = [
      "Host: x",
      "Connection: close",
      `Relay-Authorization: Bearer ${grant}`,
      "Content-Length: 0",
    ];
    const answer = await sendRaw({ port: node.port, ca: node.ca }, rawRequest("POST /cancel", fields));
    expect(answer?.status).toBe(204);
  }
  await reading;
  await isFree(client);
});

test("a caller that is gone before its grant is judged", async () => {
  const { node } = limited;
  for (let i = 0; i < 20; i++) {
    const socket = await openRaw({ port: node.port, ca: node.ca });
    socket.end(limited.bytes(ONE, { client: `gone-${i}`, path: "/wait" }), () => socket.destroy());
  }
  await pause(300);
  expect(await limited.slots()).toBe(0);
});

test("a drain: what is refused takes no slot, what is cut gives its own back", async () => {
  const draining = await startLimitedNode({ drainSeconds: 2 });
  const { node } = draining;
  const held = draining.ask({ concurrent: 2 }, { path: "/wait" });
  const idle = await openRaw({ port: node.port, ca: node.ca });
  while (draining.seen() === 0) await pause(10);
  node.process().kill("SIGTERM");
  while (!node.log().some(({ msg }) => msg === "draining")) await pause(10);
  const reading = readRaw(idle);
  idle.write(draining.bytes({ concurrent: 2 }));
  expect(parseAnswers(await reading)[0]?.field("relay-error")).toBe("node_draining");
  expect(await draining.slots()).toBe(1);
  expect((await held)?.field("relay-error")).toBe("node_draining");
  await draining.stop();
});

/** Waits until the target has seen one request more, and the node has had time for its answer. */
async function begun(before: number): Promise<void> {
  await expect.poll(() => limited.seen(), { timeout: 5_000 }).toBeGreaterThan(before);
  await pause(100);
}

/** A client's id that tells the case. */
function idFrom(what: string): string {
  return what.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-");
}

/** The client's one slot is free, and no other is taken. */
async function isFree(client: string): Promise<void> {
  await expect.poll(() => limited.slots(), { timeout: 5_000 }).toBe(0);
  const again = await limited.ask({ concurrent: 1 }, { client });
  expect([again?.field("relay-error"), again?.body]).toEqual([undefined, "xx"]);
  expect(limited.node.isAlive()).toBe(true);
}
