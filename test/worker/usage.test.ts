import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { adminCall } from "../../client/admin.ts";
import type { ErrorCode } from "../../protocol/errors.ts";
import { generateClientKey } from "../../protocol/keys.ts";
import type { Quota } from "../../protocol/quota.ts";
import { newRequestId } from "../../protocol/tokens.ts";
import { monthOf, monthsBefore, NO_USAGE, type UsageCounts, type UsageTotal } from "../../protocol/usage.ts";
import { nodeMessage, tellUsage } from "../support/asking-node.ts";
import { type FakePool, startFakePool } from "../support/fake-pool.ts";
import { eventually } from "../support/node-log.ts";

/** What nodes tell the edge of usage, as the registry adds it up. Each test has a client of its own. */

let pool: FakePool;
beforeAll(async () => {
  pool = await startFakePool(2, ["https://api.example.com"]);
});
afterAll(() => pool.stop());

const month = monthOf(Date.now());
const total = (client: string, changes: Partial<UsageTotal> = {}): UsageTotal => ({
  client,
  month,
  ...NO_USAGE,
  ...changes,
});

async function register(id: string, quota?: Quota): Promise<void> {
  const { publicJwk } = await generateClientKey();
  const body = { id, keys: [publicJwk], allow: [], ...(quota && { quota }) };
  await adminCall(pool.operator, "PUT", `/admin/clients/${id}`, { body });
}

async function usage(query: string): Promise<readonly (UsageCounts & { client: string; quota?: Quota })[]> {
  const { value } = await adminCall(pool.operator, "GET", `/admin/usage${query}`);
  return (value as { usage: Awaited<ReturnType<typeof usage>> }).usage;
}

const of = async (client: string, inMonth = month) => (await usage(`?month=${inMonth}&client=${client}`))[0]!;

describe("reports", () => {
  test("count once, however often, late and out of turn they come, and are summed over nodes and epochs", async () => {
    await register("summed");
    const epoch = newRequestId();
    const at = (requests: number, bytesDown: number) => ({
      epoch,
      totals: [total("summed", { requests, bytesDown, streamSeconds: 5 })],
    });
    const reports = [at(1, 10), at(2, 200), at(3, 3_000)];
    for (const report of [reports[0]!, reports[2]!, reports[1]!, reports[2]!, reports[0]!]) {
      expect(await tellUsage(pool, report)).toMatchObject({ status: 200, over: [] });
    }
    expect(await of("summed")).toEqual(total3("summed"));
    await tellUsage(pool, { epoch, totals: [total("summed", { requests: 10 })] }, "node-2");
    await tellUsage(pool, {
      epoch: newRequestId(),
      totals: [total("summed", { requests: 100, refusals: 7 })],
    });
    expect(await of("summed")).toEqual({ ...total3("summed"), requests: 113, refusals: 7 });
  });
  const total3 = (client: string) => {
    const { month: _, ...rest } = total(client, { requests: 3, bytesDown: 3_000, streamSeconds: 5 });
    return rest;
  };

  test("are of months apart, those that a node could not tell before among them", async () => {
    await register("monthly");
    const months = [-2, -1, 0, 1, 2, 3].map((before) => monthsBefore(month, before));
    const totals = months.map((one, index) => total("monthly", { month: one, requests: index + 1 }));
    expect(await tellUsage(pool, { epoch: newRequestId(), totals })).toMatchObject({ status: 200 });
    const requests = await Promise.all(months.map(async (one) => (await of("monthly", one)).requests));
    expect(requests).toEqual([0, 2, 3, 4, 5, 0]);
  });

  test("of clients that never were are passed over; one that was removed is heard of still", async () => {
    await register("removed");
    await adminCall(pool.operator, "DELETE", "/admin/clients/removed", { ifMatch: "*" });
    const totals = ["removed", "never"].map((client) => total(client, { requests: 4 }));
    expect(await tellUsage(pool, { epoch: newRequestId(), totals })).toMatchObject({ status: 200 });
    expect(await of("removed")).toMatchObject({ requests: 4 });
    expect(await of("never")).toMatchObject({ requests: 0 });
  });

  test("say who is over a hard limit, and the log says once that a limit was passed", async () => {
    await register("over", { requests: { soft: 5, hard: 10 }, bytes: { soft: 1_000 } });
    const epoch = newRequestId();
    const tell = async (requests: number, bytesUp = 0, node?: string) =>
      (await tellUsage(pool, { epoch, totals: [total("over", { requests, bytesUp })] }, node)).over;
    expect(await tell(4)).toEqual([]);
    expect(await tell(5)).toEqual([]);
    expect(await tell(9, 1_000)).toEqual([]);
    // The limit is over all nodes.
    expect(await tell(1, 0, "node-2")).toEqual(["over"]);
    expect(await tell(12, 1_000)).toEqual(["over"]);
    const lines = () =>
      pool
        .log()
        .split("\n")
        .flatMap((line) => /quota: over is (.*)$/.exec(line)?.[1] ?? []);
    const expected = [
      "over its soft limit of requests, with 5",
      "over its soft limit of bytes, with 1000",
      "over its hard limit of requests, with 10",
    ];
    await eventually(() => lines().length >= expected.length, "the log has them");
    expect(lines()).toEqual(expected);
  });

  const good = { epoch: newRequestId(), totals: [] };
  test.each<readonly [what: string, body: string, code: ErrorCode]>([
    ["no JSON", "{", "request_invalid"],
    ["no epoch", JSON.stringify({ totals: [] }), "request_invalid"],
    ["another epoch's form", JSON.stringify({ ...good, epoch: "" }), "request_invalid"],
    ["more than it may have", JSON.stringify({ ...good, node: "node-2" }), "request_invalid"],
    [
      "a number below 0",
      JSON.stringify({ ...good, totals: [total("x", { requests: -1 })] }),
      "request_invalid",
    ],
    [
      "half a request",
      JSON.stringify({ ...good, totals: [total("x", { requests: 0.5 })] }),
      "request_invalid",
    ],
    [
      "a month that is none",
      JSON.stringify({ ...good, totals: [total("x", { month: "2026-13" })] }),
      "request_invalid",
    ],
    ["an id that is none", JSON.stringify({ ...good, totals: [total("X")] }), "request_invalid"],
    [
      "too many totals",
      JSON.stringify({ ...good, totals: Array.from({ length: 501 }, () => total("x")) }),
      "request_invalid",
    ],
    ["too many bytes", " ".repeat(262_145), "too_large"],
  ])("with %s are refused", async (_what, body, code) => {
    expect(await tellUsage(pool, body)).toMatchObject({ code });
  });

  test("are taken of nodes alone, for this door", async () => {
    const body = JSON.stringify(good);
    const ask = async (authorization?: string, sent = body) => {
      const headers = authorization === undefined ? {} : { "Relay-Authorization": authorization };
      const answer = await fetch(`${pool.edge}/usage`, { method: "POST", headers, body: sent });
      return answer.headers.get("relay-error");
    };
    expect(await ask()).toBe("node_unproven");
    expect(await ask(await nodeMessage(pool, body))).toBe("node_unproven");
    expect(await ask(await nodeMessage(pool, body, { act: "usage", signer: "node-2" }))).toBe(
      "node_unproven",
    );
    expect(await ask(await nodeMessage(pool, body, { act: "usage" }), `${body} `)).toBe("body_digest");
    expect(await ask(await nodeMessage(pool, body, { act: "usage" }))).toBeNull();
  });
});

describe("GET /admin/usage", () => {
  test("lists whoever used something, by pages, with its quota", async () => {
    const past = monthsBefore(month, 2);
    const ids = Array.from({ length: 3 }, (_, i) => `page-${i}`);
    for (const id of ids) await register(id, { requests: { soft: 1 } });
    await tellUsage(pool, {
      epoch: newRequestId(),
      totals: ids.map((client) => total(client, { month: past, requests: 1 })),
    });
    const { value } = await adminCall(pool.operator, "GET", `/admin/usage?month=${past}&after=page-0`);
    expect(value).toMatchObject({
      month: past,
      usage: [
        { client: "page-1", requests: 1, quota: { requests: { soft: 1 } } },
        { client: "page-2", requests: 1 },
      ],
    });
    expect(value).not.toHaveProperty("next");
    expect((await usage("")).map(({ client }) => client)).not.toContain("page-1");
  });

  test.each(["?month=2026", "?client=X", "?after=X", "?year=2026"])("%s is refused", async (query) => {
    await expect(adminCall(pool.operator, "GET", `/admin/usage${query}`)).rejects.toMatchObject({
      code: "request_invalid",
    });
  });
});

test.each<readonly [what: string, quota: unknown]>([
  ["an unknown measure", { cpu: { soft: 1 } }],
  ["a limit of 0", { requests: { hard: 0 } }],
  ["half a request", { requests: { hard: 0.5 } }],
  ["neither limit", { requests: {} }],
  ["soft above hard", { requests: { soft: 2, hard: 1 } }],
  ["an unknown limit", { requests: { firm: 1 } }],
])("a record whose quota has %s is refused", async (_what, quota) => {
  await expect(register("bad", quota as Quota)).rejects.toMatchObject({ code: "request_invalid" });
});
