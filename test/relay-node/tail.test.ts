import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { digestOf, newRequestId } from "../../protocol/tokens.ts";
import { type CountingTarget, startCountingTarget } from "../support/counting-target.ts";
import { eventually } from "../support/node-log.ts";
import { type NodeAsk, type NodeProcess, startNodeProcess } from "../support/node-process.ts";
import { openRaw, parseAnswers, type RawAnswer, readRaw } from "../support/raw-http.ts";
import { expectRefusal } from "../support/refusal.ts";

/** A tail behind the body: nothing begins before its last byte has come, so the edge knows that nothing has. */

let node: NodeProcess;
let target: CountingTarget;
let came: string[];
beforeAll(async () => {
  target = await startCountingTarget({
    answer: (request, response) => {
      came.push(`${request.method} ${request.headers["content-length"] ?? "none"}`);
      response.end("done");
    },
  });
  node = await startNodeProcess();
});
beforeEach(() => {
  came = [];
});
afterAll(async () => {
  await node.stop();
  await target.close();
});

const TAIL = "123";
/** A POST with a body of ten bytes and a tail of three, as far as nothing else is said. */
const ask = (claims: Record<string, unknown> = {}, rest: Partial<NodeAsk> = {}): NodeAsk => ({
  claims: { url: `http://127.0.0.1:${target.port}/x`, htm: "POST", framing: 10, tail: 3, ...claims },
  body: `amount=100${TAIL}`,
  ...rest,
});

describe("a request with a tail", () => {
  test.each([
    { what: "behind a body", framing: 10, body: "amount=100", seen: "POST 10", bytes: 10 },
    { what: "behind none", framing: "none", body: "", seen: "POST none", bytes: 0 },
    { what: "behind an empty one", framing: 0, body: "", seen: "POST none", bytes: 0 },
    {
      what: "behind the longest",
      framing: 65_536,
      body: "x".repeat(65_536),
      seen: "POST 65536",
      bytes: 65_536,
    },
  ])("$what reaches its target without it", async ({ framing, body, bytes }) => {
    const bodies = target.bodies.length;
    const answer = await node.ask(ask({ framing }, { body: body + TAIL }));
    expect([answer?.status, answer?.field("relay-status"), answer?.body]).toEqual([200, "target", "done"]);
    expect(target.bodies.slice(bodies)).toEqual([bytes]);
  });

  test("of the longest that may be", async () => {
    const sixteen = await node.ask(ask({ tail: 16 }, { body: `amount=100${"t".repeat(16)}` }));
    expect(sixteen?.body).toBe("done");
    expectRefusal(
      await node.ask(ask({ tail: 17 }, { body: `amount=100${"t".repeat(17)}` })),
      "grant_invalid",
    );
  });

  test("has the body's digest checked, not the tail's", async () => {
    const digest = await digestOf(new TextEncoder().encode("amount=100"));
    expect((await node.ask(ask({ digest })))?.body).toBe("done");
    const wrong = await digestOf(new TextEncoder().encode(`amount=100${TAIL}`));
    expectRefusal(await node.ask(ask({ digest: wrong })), "body_digest");
    const empty = await digestOf(new ArrayBuffer(0));
    expect((await node.ask(ask({ digest: empty, framing: "none" }, { body: TAIL })))?.body).toBe("done");
    expectRefusal(await node.ask(ask({ digest, framing: "none" }, { body: TAIL })), "body_digest");
    expect(came).toHaveLength(2);
  });

  const LINES = (...lines: string[]) => ({ lines });
  const REFUSED: readonly (readonly [
    what: string,
    code: "body_cut" | "grant_invalid",
    ask: () => NodeAsk,
  ])[] = [
    ["a byte too few", "body_cut", () => ask({}, { body: "amount=10012" })],
    ["a byte too many", "body_cut", () => ask({}, { body: "amount=1001234" })],
    ["no tail", "body_cut", () => ask({}, { body: "amount=100" })],
    ["nothing at all", "body_cut", () => ask({}, { body: "" })],
    ["a body where none was signed", "body_cut", () => ask({ framing: "none" })],
    [
      "a byte too few in chunks",
      "body_cut",
      () => ask({}, { body: "c\r\namount=10012\r\n0\r\n\r\n", ...LINES("Transfer-Encoding: chunked") }),
    ],
    [
      "a body that is signed as chunked",
      "grant_invalid",
      () =>
        ask(
          { framing: "chunked" },
          { body: "d\r\namount=100123\r\n0\r\n\r\n", ...LINES("Transfer-Encoding: chunked") },
        ),
    ],
    [
      "a body that is too long to be held",
      "grant_invalid",
      () => ask({ framing: 65_537 }, { body: "x".repeat(65_537) + TAIL }),
    ],
    ["a length of less than nothing", "grant_invalid", () => ask({ tail: -1 })],
    ["a length of half a byte", "grant_invalid", () => ask({ tail: 1.5 })],
    ["a length in text", "grant_invalid", () => ask({ tail: "3" })],
  ];
  test.each(REFUSED)("with %s is refused (%s), and its id is still good", async (_what, code, bad) => {
    const jti = newRequestId();
    const { claims, ...rest } = bad();
    const connections = target.connections;
    expectRefusal(await node.ask({ ...rest, claims: { ...claims, jti } }), code);
    expect([came, target.connections]).toEqual([[], connections]);
    expect((await node.ask(ask({ jti })))?.body).toBe("done");
  });
});

describe("before the last byte of a tail", () => {
  /** Sends all but the last byte, and waits. */
  async function allButOne(one: NodeAsk) {
    const bytes = node.bytes(one);
    const socket = await openRaw({ port: node.port, ca: node.ca });
    const reading = readRaw(socket);
    socket.write(Buffer.from(bytes.slice(0, -1), "latin1"));
    await pause(300);
    const rest = async (): Promise<RawAnswer | undefined> => {
      socket.write(Buffer.from(bytes.slice(-1), "latin1"));
      return parseAnswers(await reading)[0];
    };
    return { socket, rest };
  }

  test("nothing is dialled, and with it all is", async () => {
    const connections = target.connections;
    const { rest } = await allButOne(ask());
    expect([came, target.connections]).toEqual([[], connections]);
    expect((await rest())?.body).toBe("done");
    expect(came).toEqual(["POST 10"]);
  });

  test.each(["FIN", "RST"])("a %s leaves the id as good as it was", async (how) => {
    const jti = newRequestId();
    const { socket } = await allButOne(ask({ jti }));
    if (how === "FIN") socket.end();
    else socket.destroy();
    await eventually(() => node.log().some((line) => line["jti"] === jti), "it ended");
    const line = node.log().find((one) => one["jti"] === jti);
    expect(line).toMatchObject({ reason: "answer_cut", reached: "no", decision: "refused" });
    expect(came).toEqual([]);
    expect((await node.ask(ask({ jti })))?.body).toBe("done");
    // And it is good once.
    expectRefusal(await node.ask(ask({ jti })), "token_replayed");
    expect(came).toHaveLength(1);
  });

  test("another use of the id is served, and the one that comes late is refused", async () => {
    const jti = newRequestId();
    const { rest } = await allButOne(ask({ jti }));
    expect((await node.ask(ask({ jti })))?.body).toBe("done");
    expectRefusal(await rest(), "token_replayed");
    expect(came).toHaveLength(1);
  });

  test("a grant may run out", async () => {
    const now = Math.floor(Date.now() / 1_000);
    // Good for two seconds more, by the leeway for clocks.
    const { rest } = await allButOne(ask({ iat: now - 30, exp: now - 3 }));
    await pause(3_000);
    expectRefusal(await rest(), "grant_expired");
    expect(came).toEqual([]);
  });

  test("a node may begin to drain: it refuses what it has not begun, and the edge sees that whole", async () => {
    const draining = await startNodeProcess({ drainSeconds: 10 });
    const own = { ...ask(), claims: { ...ask().claims } };
    const sockets = await Promise.all([0, 1].map(() => openRaw({ port: draining.port, ca: draining.ca })));
    const [early, late] = sockets as [(typeof sockets)[number], (typeof sockets)[number]];
    const answers = sockets.map((socket) => readRaw(socket).then((text) => parseAnswers(text)[0]));
    const bytes = draining.bytes(own);
    early.write(bytes.slice(0, -1));
    await pause(300);
    const exited = once(draining.process(), "exit");
    draining.process().kill("SIGTERM");
    await eventually(() => draining.log().some(({ msg }) => msg === "draining"), "it drains");
    // The body of this one is still under way when it is refused.
    const longer = draining.bytes({
      ...own,
      claims: { ...own.claims, framing: 65_536 },
      body: "x".repeat(65_536) + TAIL,
    });
    late.write(longer.slice(0, 2_000));
    await pause(300);
    late.write(longer.slice(2_000));
    expectRefusal(await answers[1], "node_draining");
    early.write(bytes.slice(-1));
    expectRefusal(await answers[0], "node_draining");
    expect(came).toEqual([]);
    expect(await exited).toEqual([0, null]);
    await draining.stop();
  });
});
