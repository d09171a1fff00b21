import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  buildClients,
  CLIENTS,
  get,
  type RealClient,
  type TargetScheme,
  targetsOf,
  told,
  userUrl,
} from "./support/clients.ts";
import { HOLDFAST } from "../support/holdfast-process.ts";
import { runOnClient } from "./support/client.ts";
import { EGRESS, TARGETS } from "./support/hosts.ts";
import { strayPackets } from "./support/setup.ts";
import { type ProxyScheme, type ProxyStack, startProxyStack } from "./support/stack.ts";
import type { Call } from "./support/target-server.ts";

/** Each client that people have reaches an HTTPS and an HTTP target through the door, and nothing of the door reaches those. */

let stack: ProxyStack;

beforeAll(async () => {
  stack = await startProxyStack();
  await buildClients(stack);
});

afterAll(() => stack?.stop());

interface Way {
  readonly client: RealClient;
  readonly name: string;
  readonly scheme: ProxyScheme;
  readonly target: TargetScheme;
}

const WAYS: readonly Way[] = CLIENTS.flatMap((client) =>
  client.schemes.flatMap((scheme) =>
    targetsOf(client, scheme).map((target) => ({ client, name: client.name, scheme, target })),
  ),
);

describe.for(WAYS)("$name", ({ client, scheme, target }) => {
  test(`reaches ${target}:// through ${scheme}://`, async () => {
    const host =
      target === "http" && (client.tunnelsHttp || scheme === "socks5h") ? TARGETS.plain : TARGETS.api;
    const path = `/seen/${encodeURIComponent(client.name)}?by=${scheme}&a=%C3%A9`;
    const ran = await get(stack, client, userUrl(stack, scheme), `${target}://${host}${path}`);
    expect(ran.code, ran.stderr.slice(-2_000)).toBe(0);
    const call = told(ran) as Call;
    expect(EGRESS).toContain(call.from);
    expect(call).toMatchObject({ scheme: target, method: "GET", url: path });
    const names = call.fields.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase());
    expect(names.filter((name) => name === "host")).toHaveLength(1);
    expect(call.fields[names.indexOf("host") * 2 + 1]).toBe(host);
    const ofDoor = /^(proxy-|relay-|via$|forwarded$|x-forwarded-|x-real-)/;
    // What stands in a tunnel is the client's own: wget tells the target of its proxy.
    expect(names.filter((name) => ofDoor.test(name) && target === "http")).toEqual([]);
    expect(JSON.stringify(call)).not.toContain(stack.user.handle);
  });
});

test("the URL that `holdfast proxy-url` prints is all that a program needs", async () => {
  const command = [
    process.execPath,
    HOLDFAST,
    "proxy-url",
    "--allow",
    `https://${TARGETS.api}`,
    "--ttl",
    "1h",
  ];
  const printed = await runOnClient(stack, command, { env: { HOLDFAST_URL: stack.relay.url("app") } });
  expect(printed.code, printed.stderr).toBe(0);
  const proxy = printed.stdout.trim();
  for (const name of ["requests", "curl", "Go's net/http", "Node's fetch"]) {
    const client = CLIENTS.find((one) => one.name === name)!;
    const ran = await get(stack, client, proxy, `https://${TARGETS.api}/`);
    expect(ran.code, ran.stderr.slice(-2_000)).toBe(0);
    expect(EGRESS).toContain((told(ran) as Call).from);
    const other = await get(stack, client, proxy, `https://${TARGETS.plain}/`);
    expect(other.code, "a target that the URL is not for").not.toBe(0);
  }
});

test("no client has gone round the door", async () => {
  expect(await strayPackets()).toBe(0);
});

test("nobody else is let in by the target, and nothing leads there from the client's host", async () => {
  const curl = CLIENTS.find(({ name }) => name === "curl")!;
  const direct = await get(stack, { ...curl, env: () => ({}) }, "", `https://${TARGETS.api}/`);
  expect(direct.code).not.toBe(0);
  expect(await strayPackets()).toBeGreaterThan(0);
});
