import { createHash } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { digestMember, newRequestId } from "../../protocol/tokens.ts";
import { type LimitedAsk, type LimitedNode, startLimitedNode } from "../support/client-limits.ts";
import type { RawAnswer } from "../support/raw-http.ts";
import { expectRefusal } from "../support/refusal.ts";

/** What a real node lets through, and how fast. Lower bounds alone: a machine that is busy may be slower. */

let limited: LimitedNode;
beforeAll(async () => {
  limited = await startLimitedNode();
});
afterAll(() => limited.stop());

const codes = (answers: readonly (RawAnswer | undefined)[]) =>
  answers.map((answer) => answer?.field("relay-error") ?? answer?.status);

/** Seconds that something takes. */
async function took(work: Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work;
  return (performance.now() - began) / 1_000;
}

describe("requests", () => {
  test("over the rate are refused, told when to come again, not used up, and then taken", async () => {
    const limits = { rate: 0.5 };
    const client = "rate";
    expect((await limited.ask(limits, { client }))?.status).toBe(200);
    const jti = newRequestId();
    const refused = await limited.ask(limits, { client, claims: { jti } });
    const problem = expectRefusal(refused, "rate_limited");
    const seconds = Number(refused!.field("retry-after"));
    expect(seconds).toBeGreaterThanOrEqual(1);
    expect(seconds).toBeLessThanOrEqual(2);
    expect(problem).toMatchObject({ retryable: true, retry_after: seconds, node: "node-1", request_id: jti });
    await pause(seconds * 1_000);
    expect((await limited.ask(limits, { client, claims: { jti } }))?.status).toBe(200);
  });

  test("a burst of one second's worth goes through", async () => {
    const limits = { rate: 10 };
    const ask = { client: "burst" };
    const outcomes = codes(await Promise.all(Array.from({ length: 10 }, () => limited.ask(limits, ask))));
    expect(outcomes).toEqual(Array<number>(10).fill(200));
  });

  test("beyond those at once are refused until one is over", async () => {
    const limits = { concurrent: 2 };
    const client = "concurrent";
    const before = limited.seen();
    const held = [1, 2].map(() => limited.ask(limits, { client, path: "/wait" }));
    await expect.poll(() => limited.seen(), { timeout: 5_000 }).toBe(before + 2);
    const jti = newRequestId();
    const refused = await limited.ask(limits, { client, claims: { jti } });
    expectRefusal(refused, "concurrency_limited");
    expect(refused!.field("retry-after")).toBe("1");
    expect((await limited.ask(limits, { client: "another" }))?.status).toBe(200);
    limited.letGo();
    expect(codes(await Promise.all(held))).toEqual([200, 200]);
    await expect.poll(() => limited.slots()).toBe(0);
    expect((await limited.ask(limits, { client, claims: { jti } }))?.status).toBe(200);
  });

  test("that are refused write no line at info, which a client could fill a disk with", async () => {
    await Promise.all(Array.from({ length: 20 }, () => limited.ask({ rate: 1 }, { client: "loud" })));
    const lines = limited.node.log().filter(({ client }) => client === "loud");
    expect(lines.length).toBeGreaterThan(0);
    expect(lines.length).toBeLessThan(10);
  });
});

describe("bytes", () => {
  const RATE = 400_000;
  const SIZE = 1_000_000;
  /** After the burst of one second's worth. */
  const SECONDS = (SIZE - RATE) / RATE - 0.3;
  const download = { path: `/bytes/${SIZE}` };
  const upload: LimitedAsk = {
    path: "/sink",
    claims: { htm: "POST", framing: SIZE },
    body: "x".repeat(SIZE),
  };

  test.each([
    ["an answer", download, SIZE],
    ["an upload", upload, String(SIZE).length],
    [
      "an upload in chunks",
      {
        ...upload,
        claims: { htm: "POST", framing: "chunked" },
        lines: ["Transfer-Encoding: chunked"],
        body: `${SIZE.toString(16)}\r\n${"x".repeat(SIZE)}\r\n0\r\n\r\n`,
      },
      String(SIZE).length,
    ],
  ])("%s takes its time and arrives whole", async (what, ask, length) => {
    let answer: RawAnswer | undefined;
    const seconds = await took(
      limited
        .ask({ bytes: RATE }, { ...ask, client: what.replaceAll(" ", "-") })
        .then((one) => (answer = one)),
    );
    expect([answer?.status, answer?.body.length]).toEqual([200, length]);
    expect(seconds).toBeGreaterThan(SECONDS);
  });

  test("both ways draw on one share, and a stream in each direction comes to its end", async () => {
    const client = "both";
    const seconds = await took(
      Promise.all([
        limited.ask({ bytes: RATE }, { ...download, client }),
        limited.ask({ bytes: RATE }, { ...upload, client }),
      ]),
    );
    expect(seconds).toBeGreaterThan((2 * SIZE - RATE) / RATE - 0.3);
  });

  test("eight streams of a client share them: none starves", async () => {
    const client = "eight";
    const ends: number[] = [];
    const began = performance.now();
    const one = async () => {
      const answer = await limited.ask({ bytes: 1_000_000 }, { path: "/bytes/500000", client });
      ends.push((performance.now() - began) / 1_000);
      return answer?.body.length;
    };
    const sizes = await Promise.all(Array.from({ length: 8 }, one));
    expect(sizes).toEqual(Array<number>(8).fill(500_000));
    // 4 MB at 1 MB/s. The burst may have served two at once; the others were taken in turn and end together.
    expect(Math.max(...ends)).toBeGreaterThan(2.5);
    expect(ends.toSorted((a, b) => a - b)[2]).toBeGreaterThan(Math.max(...ends) / 3);
  });

  test("one client's debt is not another's", async () => {
    const slow = took(limited.ask({ bytes: 200_000 }, { path: "/bytes/800000", client: "slow" }));
    await pause(100);
    const fast = await took(limited.ask({ bytes: 100_000_000 }, { path: "/bytes/800000", client: "fast" }));
    expect(await slow).toBeGreaterThan(2.5);
    expect(fast).toBeLessThan(2);
  });

  test("more than a second's worth of debt refuses what is new, and tells when it is paid", async () => {
    const client = "indebted";
    const size = 60_000;
    const body = "x".repeat(size);
    const digest = digestMember(createHash("sha256").update(body).digest());
    const whole: LimitedAsk = {
      path: "/sink",
      claims: { htm: "POST", framing: size, digest },
      body,
      client,
    };
    // Held whole and charged at once: 60 kB of 20 kB/s, of which 20 were there.
    const before = limited.seen();
    const first = limited.ask({ bytes: 20_000 }, whole);
    await expect.poll(() => limited.seen(), { timeout: 5_000 }).toBe(before + 1);
    const refused = await limited.ask({ bytes: 20_000 }, { client });
    expectRefusal(refused, "rate_limited");
    expect(refused!.field("retry-after")).toBe("1");
    expect((await first)?.body).toBe("60000");
    expect((await limited.ask({ bytes: 20_000 }, { client }))?.status).toBe(200);
  });

  test("nothing is left behind", async () => {
    await expect.poll(() => limited.slots()).toBe(0);
    expect(limited.node.isAlive()).toBe(true);
  });
});
