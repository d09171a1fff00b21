import { setTimeout as pause } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { newRequestId } from "../../protocol/tokens.ts";
import { type CountingTarget, startCountingTarget } from "../support/counting-target.ts";
import { eventually, logLines } from "../support/node-log.ts";
import { type NodeProcess, startNodePair } from "../support/node-process.ts";
import type { RawAnswer } from "../support/raw-http.ts";
import { expectRefusal } from "../support/refusal.ts";

/** An id that was used at one node is used up at the other, whatever becomes of either. */

/** How soon after its first use a replay is refused at any node. */
const TOLD_MS = 200;

let target: CountingTarget;
let one: NodeProcess;
let two: NodeProcess;

beforeAll(async () => {
  target = await startCountingTarget({ answer: (_request, response) => void response.end("ok") });
  [one, two] = await startNodePair();
});
afterEach(() => Promise.all([one, two].filter((node) => !node.isAlive()).map((node) => node.restart())));
afterAll(async () => {
  await Promise.all([one.stop(), two.stop()]);
  await target.close();
});

const ask = (node: NodeProcess, claims: Record<string, unknown>): Promise<RawAnswer | undefined> =>
  node.ask({ claims: { url: `http://127.0.0.1:${target.port}/x`, ...claims } });

/** Uses an id that was issued just now. */
async function use(node: NodeProcess): Promise<Record<string, unknown>> {
  const claims = { jti: newRequestId(), tat: Math.floor(Date.now() / 1_000) };
  expect((await ask(node, claims))?.field("relay-status")).toBe("target");
  return claims;
}

async function expectUsedUp(node: NodeProcess, claims: Record<string, unknown>): Promise<void> {
  const before = target.heads.length;
  expectRefusal(await ask(node, claims), "token_replayed");
  expect(target.heads).toHaveLength(before);
}

describe("an id that was used at one node is refused at the other", () => {
  test("soon after, in both directions", async () => {
    for (const [first, second] of [
      [one, two],
      [two, one],
    ] as const) {
      const used = await use(first);
      await pause(TOLD_MS);
      await expectUsedUp(second, used);
      await expectUsedUp(first, used);
    }
  });

  test("when the first was killed then", async () => {
    const used = await use(one);
    await pause(TOLD_MS);
    await one.end();
    await expectUsedUp(two, used);
  });

  test("when the first was killed, and the other, which only heard of it, was killed and started again", async () => {
    const used = await use(one);
    await pause(TOLD_MS);
    await one.end();
    await two.restart();
    // Issued before that start, while the first can't be asked: refused by its time, whether it is known or not.
    const issued = (used["tat"] as number) - 1;
    expectRefusal(await ask(two, { ...used, tat: issued }), "request_predates_node");
    // By its id, too: the same id in a token that was issued later.
    await expectUsedUp(two, { jti: used["jti"] });
  });

  test("when it was used while the other was away", async () => {
    await two.end();
    const used = await use(one);
    await two.restart();
    await expectUsedUp(two, used);
  });

  test("when it was used while the other was away, and both were started anew since", async () => {
    await two.end();
    const used = await use(one);
    await one.restart();
    await two.restart();
    await expectUsedUp(two, used);
    await expectUsedUp(one, { jti: used["jti"] });
  });

  test("when the first was drained right after", async () => {
    const used = await use(one);
    await one.end("SIGTERM");
    expect(one.process().exitCode).toBe(0);
    await expectUsedUp(two, used);
  });

  test("with two hundred others at the same time", async () => {
    const used = await Promise.all(Array.from({ length: 200 }, () => use(one)));
    await pause(TOLD_MS);
    await Promise.all(used.map((claims) => expectRefusedAt(two, claims)));
  });

  const expectRefusedAt = async (node: NodeProcess, claims: Record<string, unknown>) =>
    expectRefusal(await ask(node, claims), "token_replayed");
});

describe("the edge's own second attempt at another node", () => {
  const pass = "AAECAwQFBgc";

  test("is taken once, and the first one can't come after it", async () => {
    const claims = { ...(await usePass()), attempt: 1 };
    expect((await ask(two, claims))?.field("relay-status")).toBe("target");
    await expectUsedUp(two, claims);
    await expectUsedUp(two, { ...claims, attempt: 0 });
    await expectUsedUp(two, { ...claims, attempt: 2, pass: "another-pass" });
    await pause(TOLD_MS);
    await expectUsedUp(one, claims);
    expect((await ask(one, { ...claims, attempt: 2 }))?.field("relay-status")).toBe("target");
  });

  test("is not taken once the request was given up", async () => {
    const claims = await usePass();
    const cancelled = await one.ask({ line: "POST /cancel", claims: { ...claims, act: "cancel" } });
    expect(cancelled?.status).toBe(204);
    await pause(TOLD_MS);
    for (const node of [one, two]) await expectUsedUp(node, { ...claims, attempt: 1 });
  });

  async function usePass(): Promise<Record<string, unknown>> {
    const claims = { jti: newRequestId(), pass };
    expect((await ask(one, claims))?.field("relay-status")).toBe("target");
    await pause(TOLD_MS);
    return claims;
  }
});

test("a request that was given up before it came is refused at every node, and giving up twice is no fault", async () => {
  const jti = newRequestId();
  for (let i = 0; i < 2; i++) {
    const answer = await one.ask({ line: "POST /cancel", claims: { jti, act: "cancel" } });
    expect(answer?.status).toBe(204);
  }
  await pause(TOLD_MS);
  for (const node of [one, two]) await expectUsedUp(node, { jti });
});

test("a peer that is away long enough is told of in one line, and so is its return", async () => {
  const lines = (msg: string) => logLines(one.logFile).filter((line) => line["msg"] === msg).length;
  const [lost, found] = [lines("peer lost"), lines("peer found")];
  await two.end();
  for (let i = 0; i < 5; i++) {
    await use(one);
    await pause(100);
  }
  expect([lines("peer lost"), lines("peer found")]).toEqual([lost + 1, found]);
  await two.restart();
  await eventually(() => lines("peer found") === found + 1, "the peer was found");
  expect(lines("peer lost")).toBe(lost + 1);
});
