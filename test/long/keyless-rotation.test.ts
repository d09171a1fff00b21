import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type KeylessStack, newWorkloadKey, startKeyless } from "../support/keyless.ts";
import { expectRefusal } from "../support/refusal.ts";

/** An issuer's new key, over the time that an edge leaves the issuer alone. */

/** As long as the edge asks no issuer again (ISSUER_COOLDOWN_MS). */
const COOLDOWN_MS = 30_000;

let stack: KeylessStack;
beforeAll(async () => {
  stack = await startKeyless();
});
afterAll(() => stack.stop());

test("a new key is taken once the cooldown is over, the old one no more, and strangers change nothing of it", async () => {
  const issuer = stack.issuers.issuer("/acme", stack.pool.edge, "RS256");
  await stack.register("ci", { issuers: [{ issuer: issuer.url, claims: { repository: "acme/shop" } }] });
  const key = await newWorkloadKey();
  const exchange = (token: string) => stack.exchange({ client: "ci", token, key });
  const old = issuer.token("github");
  const start = Date.now();
  expect((await exchange(old))?.status).toBe(200);
  issuer.rotate("ES256");
  while (Date.now() - start < COOLDOWN_MS - 3_000) {
    expectRefusal(
      await exchange(issuer.token("github", { header: { kid: `made-up-${Date.now()}` } })),
      "platform_token_invalid",
    );
    expectRefusal(await exchange(issuer.token("github")), "platform_token_invalid");
    expect((await exchange(old))?.status).toBe(200);
    await pause(2_000);
  }
  expect(issuer.asked).toEqual({ discovery: 1, keys: 1 });
  await pause(start + COOLDOWN_MS + 500 - Date.now());
  expect((await exchange(issuer.token("github")))?.status).toBe(200);
  expectRefusal(await exchange(old), "platform_token_invalid");
  expect(issuer.asked).toEqual({ discovery: 2, keys: 2 });
});
