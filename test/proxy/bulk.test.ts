import { join, resolve } from "node:path";
import { writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/node-log.ts";
import { openFiles } from "../support/process.ts";
import { blocks, blocksHash } from "./support/blocks.ts";
import { beginOnClient, runOnClient } from "./support/client.ts";
import { told, userUrl } from "./support/clients.ts";
import { EGRESS, POOL, PROXY_NAMES, TARGETS } from "./support/hosts.ts";
import { BODY_BYTES, BULK_SECONDS, SETTLED_MS, TUNNELS } from "./support/limits.ts";
import { type ProxyStack, startProxyStack } from "./support/stack.ts";

/** Much at once, and long: bodies, tunnels, WebSockets. */

let stack: ProxyStack;
let body: string;
const HASH = blocksHash(BODY_BYTES);

beforeAll(async () => {
  stack = await startProxyStack();
  body = join(stack.dir, "body");
  for (const block of blocks(BODY_BYTES)) writeFileSync(body, block, { flag: "a" });
});

afterAll(() => stack?.stop());

const environment = (proxy: string) => ({ http_proxy: proxy, https_proxy: proxy });

describe.for([
  { way: "a tunnel", target: "https" },
  { way: "the absolute form", target: "http" },
] as const)("by $way", ({ target }) => {
  const origin = `${target}://${TARGETS.api}`;

  test("a large body comes down whole", { timeout: BULK_SECONDS * 1_000 }, async () => {
    const pipe = 'curl -sS --fail "$1" | sha256sum';
    const ran = await runOnClient(
      stack,
      ["bash", "-o", "pipefail", "-c", pipe, "bash", `${origin}/bytes/${BODY_BYTES}`],
      { env: environment(userUrl(stack, "https")), seconds: BULK_SECONDS },
    );
    expect(ran.code, ran.stderr).toBe(0);
    expect(ran.stdout.split(" ")[0]).toBe(HASH);
  });

  test.for(["Content-Length: 104857600", "Transfer-Encoding: chunked"])(
    "a large body goes up whole, with %s",
    { timeout: BULK_SECONDS * 1_000 },
    async (framing) => {
      const ran = await runOnClient(
        stack,
        ["curl", "-sS", "--fail", "-H", framing, "-T", body, `${origin}/hash`],
        { env: environment(userUrl(stack, "https")), seconds: BULK_SECONDS },
      );
      expect(ran.code, ran.stderr).toBe(0);
      expect(told(ran)).toEqual({ length: BODY_BYTES, hash: HASH });
    },
  );
});

test("a SOCKS user's bodies come whole", { timeout: BULK_SECONDS * 1_000 }, async () => {
  const ran = await runOnClient(stack, ["curl", "-sS", "--fail", "-T", body, `https://${TARGETS.api}/hash`], {
    env: environment(userUrl(stack, "socks5h")),
    seconds: BULK_SECONDS,
  });
  expect(ran.code, ran.stderr).toBe(0);
  expect(told(ran)).toEqual({ length: BODY_BYTES, hash: HASH });
});

describe.for([
  { url: `wss://${TARGETS.api}/socket`, scheme: "https" },
  { url: `ws://${TARGETS.plain}/socket`, scheme: "http" },
] as const)("a WebSocket to $url", ({ url, scheme }) => {
  test(`goes through ${scheme}://`, async () => {
    const ran = await runOnClient(
      stack,
      [process.execPath, resolve(import.meta.dirname, "programs/websocket.ts"), url],
      { env: { PROXY_URL: userUrl(stack, scheme) } },
    );
    expect(ran.code, ran.stderr).toBe(0);
    const { from, same, code } = told(ran) as { from: string; same: boolean[]; code: number };
    expect(EGRESS).toContain(from);
    expect(same).toEqual([true, true, true]);
    expect(code).toBe(1_000);
  });
});

test(`${TUNNELS} tunnels of one client at once`, async () => {
  const node = stack.relay.nodes.get(POOL[0]!.id)!;
  const before = openFiles(node.pid);
  const running = beginOnClient(
    stack,
    [
      process.execPath,
      resolve(import.meta.dirname, "programs/tunnels.ts"),
      `https://${TARGETS.api}/`,
      `${TUNNELS}`,
    ],
    { env: { PROXY_URL: userUrl(stack, "https", PROXY_NAMES[0]) } },
  );
  const ran = await running.ended;
  expect(ran.code, ran.stderr).toBe(0);
  expect(ran.stdout.trim()).toBe(`${TUNNELS} open, ${TUNNELS} answered from ${EGRESS[0]}`);
  await eventually(() => openFiles(node.pid) <= before + 10, "the node's sockets are closed", SETTLED_MS);
});
