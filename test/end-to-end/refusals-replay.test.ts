import { createHash } from "node:crypto";
import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { newRequestId } from "../../protocol/tokens.ts";
import { eventually } from "../support/node-log.ts";
import type { RawAnswer } from "../support/raw-http.ts";
import { type RefusalStack, startRefusalStack } from "../support/refusal-stack.ts";
import { expectRefusal } from "../support/refusal.ts";

/** A token is good once, whatever is killed in between; a body is good only as it was signed. */

let relay: RefusalStack;

beforeAll(async () => {
  relay = await startRefusalStack();
});
afterEach(() => expect(relay.isAlive()).toBe(true));
afterAll(() => relay.stop());

const bearer = (token: string) => ({ authorization: [`Relay-Authorization: Bearer ${token}`] });
const codeOf = (answer: RawAnswer | undefined) =>
  answer?.field("relay-error") ?? answer?.field("relay-status");

/** How soon after its first use an id is used up at every node. */
const TOLD_MS = 200;

/** Kills a node as the kernel would when memory ends. */
async function kill(id: string): Promise<void> {
  const node = relay.stack.process(id);
  const gone = once(node, "exit");
  node.kill("SIGKILL");
  await gone;
}

/** And starts it again. */
async function killAndStart(id: string): Promise<void> {
  await kill(id);
  await relay.stack.restartNode(id);
}

describe("a token used twice", () => {
  test.each(["enveloped", "raw"] as const)("at once (%s)", async (form) => {
    const used = { form, ...bearer(relay.token()) };
    expect((await relay.ask(used))?.status).toBe(200);
    const { connections } = relay.target;
    const heads = relay.target.heads.length;
    const problem = expectRefusal(await relay.ask(used), "token_replayed");
    expect(problem.node).toMatch(/^node-[12]$/);
    expect([relay.target.connections, relay.target.heads.length]).toEqual([connections, heads]);
  });

  test("in the other form, and with other fields", async () => {
    const used = bearer(relay.token());
    expect((await relay.ask({ ...used, form: "raw" }))?.status).toBe(200);
    expectRefusal(
      await relay.ask({ ...used, form: "enveloped", fields: ["Relay-Fields-1: QTpiCg"] }),
      "token_replayed",
    );
  });

  test("signed anew with the same id", async () => {
    const jti = newRequestId();
    expect((await relay.ask({ claims: { jti } }))?.status).toBe(200);
    const answer = await relay.ask({ claims: { jti, htm: "DELETE", url: `${relay.targetUrl}/other` } });
    expectRefusal(answer, "token_replayed");
  });

  test("a hundred times at the same time: once and no more", async () => {
    const token = relay.token({ claims: { url: `${relay.targetUrl}/hundred` } });
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, i) =>
        relay.ask({ form: i % 2 === 0 ? "enveloped" : "raw", ...bearer(token) }),
      ),
    );
    const codes = answers.map(codeOf);
    expect(codes.filter((code) => code === "target")).toHaveLength(1);
    expect(codes.filter((code) => code === "token_replayed")).toHaveLength(99);
    expect(relay.target.heads.filter(({ url }) => url === "/hundred")).toHaveLength(1);
  });

  test("is not used up by a refusal that no node saw", async () => {
    const jti = newRequestId();
    expectRefusal(await relay.ask({ claims: { jti, aud: "https://other.example.com" } }), "token_audience");
    expect((await relay.ask({ claims: { jti } }))?.status).toBe(200);
  });

  test("after its node was killed and started again", async () => {
    for (const id of ["node-1", "node-2"]) {
      const used = Array.from({ length: 5 }, () => relay.token({ claims: { node: id } }));
      for (const token of used) expect((await relay.ask(bearer(token)))?.field("relay-node")).toBe(id);
      // Twice: what the second life remembers, the third has to remember too.
      await killAndStart(id);
      expectRefusal(await relay.ask(bearer(used[0]!)), "token_replayed");
      await killAndStart(id);
      const heads = relay.target.heads.length;
      for (const token of used) expectRefusal(await relay.ask(bearer(token)), "token_replayed");
      expect(relay.target.heads).toHaveLength(heads);
      expect((await relay.ask({ claims: { node: id } }))?.status).toBe(200);
    }
  });

  test("killed while it was under way", async () => {
    const token = relay.token({ claims: { node: "node-1", url: `${relay.targetUrl}/under-way` } });
    const before = relay.target.heads.length;
    const first = relay.ask(bearer(token));
    await eventually(() => relay.target.heads.length > before, "the target was reached");
    await Promise.all([killAndStart("node-1"), first]);
    expectRefusal(await relay.ask(bearer(token)), "token_replayed");
    expect(relay.target.heads).toHaveLength(before + 1);
  });

  describe("in a second token with the same id for the other node", () => {
    /** Uses an id at node-1, and waits as long as the other needs to hear of it. */
    async function use(id: string): Promise<void> {
      expect((await relay.ask({ claims: { jti: id, node: "node-1" } }))?.field("relay-node")).toBe("node-1");
      await pause(TOLD_MS);
    }
    async function expectUsedUp(id: string): Promise<void> {
      const heads = relay.target.heads.length;
      const problem = expectRefusal(
        await relay.ask({ claims: { jti: id, node: "node-2" } }),
        "token_replayed",
      );
      expect(problem.node).toBe("node-2");
      expect(relay.target.heads).toHaveLength(heads);
    }

    test("which has heard of it", async () => {
      const id = newRequestId();
      await use(id);
      await expectUsedUp(id);
      expectRefusal(await relay.ask({ claims: { jti: id, node: "node-1" } }), "token_replayed");
    });

    test("which is started anew while the first is dead", async () => {
      const id = newRequestId();
      await use(id);
      await kill("node-1");
      await expectUsedUp(id);
      await killAndStart("node-2");
      await expectUsedUp(id);
      await relay.stack.restartNode("node-1");
    });

    test("after the first was drained", async () => {
      const id = newRequestId();
      await use(id);
      const node = relay.stack.process("node-1");
      const gone = once(node, "exit");
      node.kill("SIGTERM");
      await gone;
      await expectUsedUp(id);
      await relay.stack.restartNode("node-1");
    });

    test("which was dead at its first use", async () => {
      const id = newRequestId();
      await kill("node-2");
      await use(id);
      await relay.stack.restartNode("node-2");
      await expectUsedUp(id);
    });
  });
});

describe("a body that is not the one that was signed", () => {
  const digest = (body: string) => `sha-256=:${createHash("sha256").update(body).digest("base64")}:`;
  const patch = (body: string, framing?: unknown) => ({
    htm: "PATCH",
    digest: digest(body),
    framing: framing ?? body.length,
  });

  test.each(["enveloped", "raw"] as const)("small: nothing is dialled (%s)", async (form) => {
    const { connections } = relay.target;
    const answer = await relay.ask({ form, claims: patch('{"pay":10}'), body: '{"pay":99}' });
    expectRefusal(answer, "body_digest");
    expect(relay.target.connections).toBe(connections);
    expect((await relay.ask({ form, claims: patch('{"pay":10}'), body: '{"pay":10}' }))?.status).toBe(200);
  });

  test("none, where some was signed, and some, where none was", async () => {
    const { connections } = relay.target;
    expectRefusal(await relay.ask({ claims: { htm: "PATCH", digest: digest("x") } }), "body_digest");
    const empty = { htm: "PATCH", digest: digest("") };
    expectRefusal(await relay.ask({ form: "raw", claims: empty, body: "x" }), "body_digest");
    expect(relay.target.connections).toBe(connections);
  });

  test.each(["enveloped", "raw"] as const)("large: the target never has it whole (%s)", async (form) => {
    const signed = "a".repeat(300_000);
    const { bodies } = relay.target;
    const before = bodies.length;
    const sent = `${signed.slice(1)}b`;
    const answer = await relay.ask({ form, claims: patch(signed), body: sent });
    expectRefusal(answer, "body_digest", "yes");
    expect(bodies).toHaveLength(before);
    expect((await relay.ask({ form, claims: patch(signed), body: signed }))?.status).toBe(200);
    expect(bodies.slice(before)).toEqual([signed.length]);
  });

  const chunked = (body: string) => ({
    framing: ["Transfer-Encoding: chunked"],
    body: `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`,
  });

  test("chunked: no byte of it arrives", async () => {
    const before = relay.target.heads.length;
    const answer = await relay.ask({ claims: patch("signed", "chunked"), ...chunked("forged") });
    expectRefusal(answer, "body_digest");
    expect(relay.target.heads).toHaveLength(before);
    expect((await relay.ask({ claims: patch("signed", "chunked"), ...chunked("signed") }))?.status).toBe(200);
  });

  test.each([
    ["longer, small", 6, "sixteen bytes, so"],
    ["shorter, small", 6, "four"],
    ["longer, large", 100_000, "x".repeat(100_001)],
    ["shorter, large", 100_000, "x".repeat(99_999)],
  ])("chunks of another length than was signed: %s", async (_what, length, body) => {
    const { bodies } = relay.target;
    const before = bodies.length;
    const signed = body.slice(0, length).padEnd(length, "x");
    const answer = await relay.ask({ claims: patch(signed), ...chunked(body) });
    expectRefusal(answer, "body_cut", length > 65_536 ? "yes" : "no");
    expect(bodies).toHaveLength(before);
  });
});
