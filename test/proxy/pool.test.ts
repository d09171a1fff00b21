import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/node-log.ts";
import { beginOnClient } from "./support/client.ts";
import { buildClients, CLIENTS, get, type RealClient, told, userUrl } from "./support/clients.ts";
import { EGRESS, POOL, PROXY_NAMES, TARGETS } from "./support/hosts.ts";
import { BACK_MS, DRAIN_BYTES, DRAIN_BYTES_PER_SECOND, POLL_MS, REVOKED_MS } from "./support/limits.ts";
import { type ProxyStack, proxyUrl, startProxyStack } from "./support/stack.ts";
import type { Call } from "./support/target-server.ts";

/** What users see while nodes and the edge come and go, and when they are no users any more. */

let stack: ProxyStack;

beforeAll(async () => {
  stack = await startProxyStack();
  await buildClients(stack);
});

afterAll(() => stack?.stop());

const named = (name: string): RealClient => CLIENTS.find((client) => client.name === name)!;
const node = (index: number) => stack.relay.nodes.get(POOL[index]!.id)!;
const url = `https://${TARGETS.api}/`;

async function back(index: number): Promise<void> {
  node(index).start();
  await node(index).serving();
  const proxy = userUrl(stack, "https", PROXY_NAMES[index]);
  await eventually(
    async () => (await get(stack, named("curl"), proxy, url)).code === 0,
    "the node serves again",
    BACK_MS,
  );
}

describe.for([0, 1])("while node %i of two is dead", (dead) => {
  beforeAll(() => node(dead).remove("SIGKILL"));
  afterAll(() => back(dead));

  test.for(CLIENTS.filter(({ oneAddress }) => !oneAddress))("$name goes on by the other", async (client) => {
    const ran = await get(stack, client, userUrl(stack, client.schemes[0]!), url);
    expect(ran.code, ran.stderr.slice(-2_000)).toBe(0);
    expect((told(ran) as Call).from).toBe(EGRESS[1 - dead]);
  });
});

test("a node that drains finishes its tunnels, and new ones go by the other", async () => {
  const command = [
    "curl",
    "-sS",
    "--fail",
    "--limit-rate",
    `${DRAIN_BYTES_PER_SECOND}`,
    "-o",
    "/dev/null",
    "-w",
    "%{size_download}",
    `${url}bytes/${DRAIN_BYTES}`,
  ];
  const env = { https_proxy: userUrl(stack, "https", PROXY_NAMES[0]) };
  const slow = beginOnClient(stack, command, { env });
  let hasEnded = false;
  const ended = slow.ended.finally(() => (hasEnded = true));
  await eventually(
    async () => (await stack.calls()).some(({ url: path }) => path === `/bytes/${DRAIN_BYTES}`),
    "the tunnel is open",
  );
  const gone = node(0).remove("SIGTERM");
  await eventually(async () => {
    const ran = await get(stack, named("curl"), userUrl(stack, "https"), url);
    expect(ran.code, ran.stderr).toBe(0);
    return (told(ran) as Call).from === EGRESS[1];
  }, "new tunnels go by the other node");
  expect(hasEnded).toBe(false);
  const { code, stdout, stderr } = await ended;
  expect(code, stderr).toBe(0);
  expect(stdout).toBe(String(DRAIN_BYTES));
  await gone;
  await back(0);
});

describe("while the edge is dead", () => {
  const curl = named("curl");

  test("who was admitted goes on, and nobody new is let in", async () => {
    const known = userUrl(stack, "https", PROXY_NAMES[0]);
    const { client, handle } = await stack.admit();
    const fresh = proxyUrl("https", { client, password: handle }, PROXY_NAMES[0]);
    for (const target of ["https", "http"]) {
      expect((await get(stack, curl, known, `${target}://${TARGETS.api}/`)).code).toBe(0);
    }
    await stack.relay.edge.end("SIGKILL");
    try {
      for (const target of ["https", "http"]) {
        const goesOn = await get(stack, curl, known, `${target}://${TARGETS.api}/`);
        expect(goesOn.code, goesOn.stderr).toBe(0);
        const refused = await get(stack, curl, fresh, `${target}://${TARGETS.api}/`);
        expect(refused.code).not.toBe(0);
        expect(refused.stdout + refused.stderr).toContain("503");
        expect(refused.stdout + refused.stderr).toContain("authorization_unavailable");
      }
    } finally {
      await stack.relay.edge.start();
    }
    await eventually(
      async () => (await get(stack, curl, fresh, url)).code === 0,
      "the new one is let in",
      BACK_MS,
    );
  });
});

test("a revoked handle opens nothing within 30 s", async () => {
  const user = await stack.admit();
  const proxy = proxyUrl("https", { client: user.client, password: user.handle }, PROXY_NAMES[0]);
  const ask = () => get(stack, named("curl"), proxy, url);
  expect((await ask()).code).toBe(0);
  await stack.revoke(user);
  const began = performance.now();
  let text = "";
  await eventually(
    async () => {
      const { code, stderr } = await ask();
      text = stderr;
      if (code !== 0) return true;
      await sleep(POLL_MS);
      return false;
    },
    "it is refused",
    REVOKED_MS,
  );
  console.log(`a revoked handle was refused after ${((performance.now() - began) / 1_000).toFixed(1)} s`);
  expect(text).toContain("407");
  // By the node, which hears of it from the edge, or by the edge, which it asks.
  expect(text).toMatch(/Relay-Error: (handle_unknown|revoked)\b/i);
});
