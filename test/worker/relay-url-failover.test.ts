import { afterAll, beforeAll, expect, test } from "vitest";
import { createScopeToken } from "../../client/index.ts";
import { type FakePool, startFakePool, targets } from "../support/fake-pool.ts";
import { answerOf, TARGET } from "../support/pool-caller.ts";
import { callUrl } from "../support/relay-url.ts";

/** Which node makes a request by a relay URL is the edge's to choose: one that is gone is not felt. */

let pool: FakePool;
beforeAll(async () => {
  pool = await startFakePool(6, [TARGET]);
});
afterAll(() => pool.stop());

test.each([
  { method: "GET", body: undefined },
  { method: "POST", body: "amount=100" },
])("$method goes to the other node, once and whole", async ({ method, body }) => {
  const nodes = pool.pair();
  const [gone, there] = nodes;
  await gone.shut();
  there.answer = targets("from the second");
  const token = await createScopeToken(pool.relayUrl, {
    act: "url",
    allow: [TARGET],
    ttlSeconds: 60,
    node: nodes.map(({ id }) => id),
  });
  // Each has an id of the edge's own, so that some of them would have gone to the one that is gone.
  const call = { method, path: `/r/${token}/v1/x`, ...(body !== undefined && { body }) };
  const answers = await Promise.all(Array.from({ length: 8 }, () => callUrl(pool.edge, call)));
  for (const { head, body: content } of answers) {
    const { mark, node, body: told } = answerOf(head, content.content.toString());
    expect([mark, node, told]).toEqual(["target", there.id, "from the second"]);
  }
  expect(there.sent).toHaveLength(8);
  expect(new Set(there.sent.map(({ grant }) => grant.jti)).size).toBe(8);
  expect(there.sent.some(({ grant }) => grant.attempt > 0)).toBe(true);
  for (const { grant, body: sent } of there.sent) {
    expect(grant).toMatchObject({ sub: "app", act: "fetch", htm: method, url: `${TARGET}/v1/x` });
    expect([grant.framing, sent]).toEqual([body?.length ?? "none", body ?? ""]);
  }
});
