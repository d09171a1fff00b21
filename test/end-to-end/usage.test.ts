import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { adminCall } from "../../client/admin.ts";
import { UsageError } from "../../cli/command.ts";
import { usageCommand } from "../../cli/commands/usage.ts";
import { createRelay, createScopeToken, isRelayError, relayInfo } from "../../client/index.ts";
import { createSockets } from "../../client/node/index.ts";
import { generateClientKey } from "../../protocol/keys.ts";
import type { Quota } from "../../protocol/quota.ts";
import { newRequestId } from "../../protocol/tokens.ts";
import { monthEnd, monthOf, NO_USAGE, type UsageCounts } from "../../protocol/usage.ts";
import { askEdge, tellUsage } from "../support/asking-node.ts";
import { type CountingTarget, startCountingTarget } from "../support/counting-target.ts";
import { requestToken } from "../support/raw-caller.ts";
import { rawRequest, sendRaw } from "../support/raw-http.ts";
import { startHoldfast } from "../support/holdfast-process.ts";
import { freePort, testStack } from "../support/stack.ts";
import { openSocket, streamToken } from "../support/stream-caller.ts";
import { startTcpTarget, type TcpTarget } from "../support/tcp-target.ts";

/** Usage and quotas through a whole stack, over real HTTP at every door. */

let stack: Awaited<ReturnType<typeof testStack>>;
let target: CountingTarget;
let echo: TcpTarget;
let origin: string;
let proxyPort: number;
beforeAll(async () => {
  const [port, one, two] = [await freePort(), await freePort(), await freePort()];
  proxyPort = await freePort();
  origin = `https://localhost:${port}`;
  stack = await testStack({
    nodes: [
      { id: "node-1", port: one, egress: "127.0.0.2", proxy: { http: proxyPort } },
      { id: "node-2", port: two, egress: "127.0.0.3" },
    ],
  });
  target = await startCountingTarget({
    tls: stack.keys,
    port,
    answer: (_request, response) => response.end("0123456789"),
  });
  echo = await startTcpTarget((socket) => void socket.pipe(socket));
});
afterAll(async () => {
  await stack.stop();
  await target.close();
  await echo.close();
});

/** Registers a client; returns what HOLDFAST_URL would hold. */
async function register(id: string, quota?: Quota, pool: readonly string[] = ["node-1"]): Promise<string> {
  const { publicJwk, privateKey } = await generateClientKey();
  const body = { id, keys: [publicJwk], allow: [origin, echo.url], pool, ...(quota && { quota }) };
  await adminCall(stack.operator, "PUT", `/admin/clients/${id}`, { body });
  return stack.edge.replace("://", `://${id}:${privateKey}@`);
}

/** What a node would tell after a while. */
async function tell(client: string, counts: Partial<UsageCounts>): Promise<void> {
  const totals = [{ month: monthOf(Date.now()), client, ...NO_USAGE, ...counts }];
  expect(await tellUsage(stack, { epoch: newRequestId(), totals }, "node-2")).toMatchObject({ status: 200 });
}

async function usageOf(client: string): Promise<UsageCounts> {
  const { value } = await adminCall(stack.operator, "GET", `/admin/usage?client=${client}`);
  return (value as { usage: UsageCounts[] }).usage[0]!;
}

test(
  "a node that is killed under load has lost no request that was answered",
  { timeout: 60_000 },
  async () => {
    const relay = createRelay(await register("loaded"));
    const atOnce = 8;
    let answered = 0;
    const stopping = new AbortController();
    const ask = async () => {
      const response = await relay.fetch(`${origin}/`);
      if ((await response.text()) === "0123456789") answered++;
    };
    const load = async () => {
      while (!stopping.signal.aborted) await ask().catch(() => {});
    };
    const under = Promise.all(Array.from({ length: atOnce }, load));
    await expect.poll(() => answered, { timeout: 20_000, interval: 5 }).toBeGreaterThan(150);
    const gone = once(stack.process("node-1"), "exit");
    stack.process("node-1").kill("SIGKILL");
    stopping.abort();
    await gone;
    await stack.restartNode("node-1");
    await under;
    const before = answered;
    await expect
      .poll(
        () =>
          ask().then(
            () => answered - before,
            () => 0,
          ),
        { timeout: 15_000 },
      )
      .toBe(1);
    // By SIGTERM this time: what it has on file is told before it goes.
    await stack.restartNode("node-1");
    const { requests, bytesDown } = await usageOf("loaded");
    expect(requests).toBeGreaterThanOrEqual(answered);
    // Those under way at the kill may have been answered to nobody.
    expect(requests).toBeLessThanOrEqual(answered + atOnce);
    expect(bytesDown).toBeLessThanOrEqual(requests * 10);
    expect(bytesDown).toBeGreaterThanOrEqual((answered - 2 * atOnce) * 10);
  },
);

describe("over a hard limit", () => {
  let url: string;
  let token: string;
  beforeAll(async () => {
    url = await register("full", { requests: { soft: 5, hard: 10 } });
    token = await createScopeToken(url, { act: "proxy", allow: [echo.url], ttlSeconds: 3_600 });
    await tell("full", { requests: 10 });
  });

  const fields = async (act: string, htm: string, to: string) => {
    const signed = await requestToken(url, { act, htm, url: to, framing: "none" } as never);
    return { "Relay-Authorization": `Bearer ${signed}` };
  };
  const of = async (answer: Promise<Response>) => {
    const { status, headers } = await answer;
    return { status, code: headers.get("relay-error"), retryAfter: Number(headers.get("retry-after")) };
  };
  const doors: Readonly<
    Record<string, () => Promise<{ status?: number; code: unknown; retryAfter: unknown }>>
  > = {
    "the client's fetch": async () => {
      const error: unknown = await createRelay(url)
        .fetch(`${origin}/`)
        .catch((cause: unknown) => cause);
      if (!isRelayError(error)) throw new Error("it was answered");
      expect(error).toMatchObject({ reached: "no", retryable: false });
      return { status: error.status, code: error.code, retryAfter: error.retryAfter };
    },
    "a raw request": async () =>
      of(fetch(`${stack.edge}/fetch`, { headers: await fields("fetch", "GET", `${origin}/`) })),
    "direct grants": async () =>
      of(fetch(`${stack.edge}/grants`, { method: "POST", headers: await fields("stream", "GET", echo.url) })),
    "seed lists": async () =>
      of(
        fetch(`${stack.edge}/resolve`, {
          method: "POST",
          headers: await fields("resolve", "POST", "mongodb+srv://a.db.test"),
        }),
      ),
    "a stream": async () => {
      const headers = { "Relay-Authorization": `Bearer ${await streamToken(url, echo.url)}` };
      const { refused } = await openSocket(stack.edge, { headers });
      return refused!;
    },
    "a stream by a token in its URL": async () => {
      const scope = await createScopeToken(url, { act: "stream", allow: [echo.url], ttlSeconds: 3_600 });
      const address = echo.url.slice("tcp://".length);
      return (await openSocket(stack.edge, { path: `/stream/${scope}?address=${address}` })).refused!;
    },
    "a relay URL": async () => {
      const allow = ["https://api.example.com"];
      const scope = await createScopeToken(url, { act: "url", allow, ttlSeconds: 3_600 });
      return of(fetch(`${stack.edge}/r/${scope}/`));
    },
    "a node's question": async () => (await askEdge(stack, { credential: token, target: echo.url })).refused!,
    "the proxy": async () => {
      const login = Buffer.from(`full:${token}`).toString("base64");
      const authority = echo.url.slice("tcp://".length);
      const lines = [`Host: ${authority}`, `Proxy-Authorization: Basic ${login}`];
      const answer = await sendRaw({ port: proxyPort }, rawRequest(`CONNECT ${authority}`, lines));
      return {
        status: answer!.status,
        code: answer!.field("relay-error"),
        retryAfter: Number(answer!.field("retry-after")),
      };
    },
  };
  test.each(Object.entries(doors))("%s is refused until the month's end", async (_name, ask) => {
    const refused = await ask();
    const left = (monthEnd(monthOf(Date.now())) - Date.now()) / 1_000;
    expect(refused).toMatchObject({ status: 429, code: "quota_exceeded" });
    expect(Math.abs(Number(refused.retryAfter) - left)).toBeLessThan(10);
  });

  test("what is cancelled is taken all the same", async () => {
    const headers = await fields("cancel", "GET", `${origin}/`);
    expect((await fetch(`${stack.edge}/cancel`, { method: "POST", headers })).status).toBe(204);
  });
});

test("over a soft limit answers say so, and nothing is refused", async () => {
  const url = await register("warned", { requests: { soft: 5, hard: 1_000 }, bytes: { soft: 100 } });
  await tell("warned", { requests: 7, bytesUp: 99 });
  const relay = createRelay(url);
  const response = await relay.fetch(`${origin}/`);
  expect(relayInfo(response)?.quota).toEqual([{ measure: "requests", used: 7, soft: 5, hard: 1_000 }]);
  const signed = await requestToken(url, { act: "fetch", htm: "GET", url: `${origin}/`, framing: "none" });
  const raw = await fetch(`${stack.edge}/fetch`, { headers: { "Relay-Authorization": `Bearer ${signed}` } });
  expect(raw.headers.get("relay-quota")).toBe("requests;used=7;soft=5;hard=1000");
  expect(await raw.text()).toBe("0123456789");
  // A stream's answer is the node's own.
  const socket = createSockets(url).connect({ host: "127.0.0.1", port: echo.port });
  await once(socket, "connect");
  socket.destroy();
});

test("without a quota, and below its limits, nothing is said", async () => {
  const quotas: readonly (Quota | undefined)[] = [undefined, { requests: { soft: 5 } }];
  for (const [index, quota] of quotas.entries()) {
    const response = await createRelay(await register(`quiet-${index}`, quota)).fetch(`${origin}/`);
    expect(relayInfo(response)?.quota).toEqual([]);
  }
});

describe("holdfast usage", () => {
  const usage = async (...args: readonly string[]) =>
    startHoldfast(["usage", "--out", stack.dir, ...args]).ended;

  test("tells a month as a table", async () => {
    await register("table", { requests: { soft: 10, hard: 20_000 }, bytes: { hard: 1_000 } });
    await tell("table", {
      requests: 12_345,
      refusals: 2,
      streams: 3,
      streamSeconds: 61,
      bytesUp: 999,
      bytesDown: 1_234_567,
    });
    const { code, stdout, stderr } = await usage("table");
    expect([code, stderr]).toEqual([0, ""]);
    const [head, , row, ...notes] = stdout.trimEnd().split("\n");
    expect(head).toBe(`${monthOf(Date.now())}, UTC`);
    expect(row!.split(/ {2,}/)).toEqual(["table", "12,345*", "2", "3", "2", "999 B", "1.23 MB", "1.24 MB!"]);
    expect(notes).toEqual([
      "* table: over 10 requests, refused from 20,000 on",
      "! table: refused until the month's end, bytes stop at 1.00 kB",
    ]);
    const all = await usage("--json");
    const told = JSON.parse(all.stdout) as { month: string; usage: { client: string }[] };
    expect(told.month).toBe(monthOf(Date.now()));
    expect(told.usage.find(({ client }) => client === "table")).toMatchObject({ requests: 12_345 });
  });

  test.each([[["one", "two"]], [["--month", "2026"]], [["--all"]]])("%j is no usage of it", async (args) => {
    await expect(usageCommand.run(args)).rejects.toThrow(UsageError);
  });
});
