import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { adminCall } from "../../client/admin.ts";
import { type FakePool, startFakePool } from "../support/fake-pool.ts";
import { countsOf, putRoute } from "../support/hook-routes.ts";
import { HOOK_SENDERS } from "../support/hook-senders.ts";
import { watchIsolate } from "../support/isolate-memory.ts";
import { openRaw, parseAnswers, rawRequest, readRaw } from "../support/raw-http.ts";
import { sendHook } from "../support/send-hook.ts";
import { freePort } from "../support/stack.ts";

/** Bodies are staged while they come: what is held of 32 of the longest ones at once is a small part of them. */

const SENDERS = 32;
const BYTES = 25 * 1_048_576;

/** What an isolate has on the platform. Here one holds the stores' objects, too, which there have isolates of their own. */
const ISOLATE_MAX_MB = 128;

/** Of the whole process: what its garbage and the stores' databases hold counts, too. */
const GROWN_MAX_MB = 256;

let pool: FakePool;
let inspector: number;
beforeAll(async () => {
  inspector = await freePort();
  pool = await startFakePool(1, ["https://internal.example.com"], {}, inspector);
});
afterAll(() => pool.stop());

/** Of the edge, in MB: what it holds, and the most that it has held. */
function memory(): { readonly rss: number; readonly peak: number } {
  const status = readFileSync(`/proc/${pool.edgePid()}/status`, "utf8");
  const mb = (name: string) => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)![1]) / 1_000;
  return { rss: mb("VmRSS"), peak: mb("VmHWM") };
}

test(`${SENDERS} bodies of ${BYTES / 1_048_576} MB at once`, async () => {
  const sender = HOOK_SENDERS[0]!;
  const [secret] = sender.secrets;
  await putRoute(pool.operator, {
    id: "large",
    verifier: { type: sender.type, secrets: [secret] },
    dedupe: "none",
  });
  // What is measured is what comes in.
  await adminCall(pool.operator, "POST", "/admin/deliveries/route:large/pause", {
    body: { reason: "a test" },
  });
  const peer = { port: Number(new URL(pool.edge).port) };
  const body = Buffer.alloc(BYTES, "0123456789abcdef");
  const sign = async (bytes: Buffer) =>
    Object.entries((await sender.sign(secret, bytes, Math.floor(Date.now() / 1_000), "")).headers).map(
      ([name, value]) => `${name}: ${value}`,
    );
  const small = body.subarray(0, 1_000_000);
  expect(await sendHook(peer, "large", small, { fields: await sign(small) })).toBe(202);
  const before = memory();
  const isolate = await watchIsolate(inspector);
  const started = performance.now();
  const fields = await sign(body);
  const answers = await Promise.all(
    Array.from({ length: SENDERS }, () => sendHook(peer, "large", body, { chunk: 65_536, fields })),
  );
  const seconds = (performance.now() - started) / 1_000;
  const held = await isolate.peak();
  const { peak } = memory();
  console.log(
    `hooks at once: senders=${SENDERS} bytes_each=${BYTES} rss_before_mb=${before.rss.toFixed(0)} rss_peak_mb=${peak.toFixed(0)} grown_mb=${(peak - before.rss).toFixed(0)} isolate_peak_mb=${held.toFixed(0)} seconds=${seconds.toFixed(1)} MB_per_s=${((SENDERS * BYTES) / 1e6 / seconds).toFixed(0)}`,
  );
  expect(answers).toEqual(answers.map(() => 202));
  expect(held).toBeLessThan(ISOLATE_MAX_MB);
  expect(peak - before.rss).toBeLessThan(GROWN_MAX_MB);
  expect(await countsOf(pool.operator, "large")).toMatchObject({ accepted: SENDERS + 1 });
});

test("and one more than there is room for is asked to come again", async () => {
  await putRoute(pool.operator, { id: "open" });
  const peer = { port: Number(new URL(pool.edge).port) };
  const waiting = await Promise.all(
    Array.from({ length: 100 }, async () => {
      const socket = await openRaw(peer);
      const reading = readRaw(socket, 5_000, 3_000);
      socket.write(
        rawRequest("POST /hooks/open", ["Host: edge", "Transfer-Encoding: chunked"], "1\r\nx\r\n"),
      );
      return parseAnswers(await reading)[0];
    }),
  );
  const refused = waiting.filter((answer) => answer?.status === 429);
  expect(refused.length).toBeGreaterThan(0);
  expect(refused.length).toBeLessThanOrEqual(100 - SENDERS);
  for (const answer of refused) {
    expect(answer!.field("relay-error")).toBe("concurrency_limited");
    expect(answer!.field("retry-after")).toBe("1");
  }
  // What was given up gives its room back.
  await expect.poll(() => sendHook(peer, "open", Buffer.from("x"), { chunk: 1 })).toBe(202);
});
