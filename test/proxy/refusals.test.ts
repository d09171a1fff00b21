import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildClients, CLIENTS, get, type RealClient, targetsOf, told, userUrl } from "./support/clients.ts";
import { DEAD_PORT, PROXY_NAME, PROXY_PORTS, TARGETS } from "./support/hosts.ts";
import { type ProxyStack, proxyUrl, startProxyStack } from "./support/stack.ts";
import type { Call } from "./support/target-server.ts";

/** What real clients show of a refusal: the status, and the code that says why. */

let stack: ProxyStack;

beforeAll(async () => {
  stack = await startProxyStack();
  await buildClients(stack);
});

afterAll(() => stack?.stop());

const named = (name: string): RealClient => CLIENTS.find((client) => client.name === name)!;

/** A handle of the right form that stands for nothing. */
const WRONG = { client: "app", password: `hf_${"A".repeat(32)}` };

/** All that a client said, which must have failed. */
async function expectFailure(client: RealClient, proxy: string, url: string): Promise<string> {
  const { code, stdout, stderr } = await get(stack, client, proxy, url);
  expect(code, stdout).not.toBe(0);
  return stdout + stderr;
}

/** Whether a client has shown what there is to know of a refused tunnel, as far as it shows such things at all. */
function expectTold(text: string, { hides }: Pick<RealClient, "hides">, status: number, code: string): void {
  if (hides !== "status") expect(text).toContain(String(status));
  if (hides !== "code") expect(text).toContain(code);
}

describe.for(CLIENTS.filter((client) => targetsOf(client, "http").length > 1))("$name", (client) => {
  test("is told of a wrong password, where it asks for a tunnel", async () => {
    const text = await expectFailure(client, proxyUrl("http", WRONG), `https://${TARGETS.api}/`);
    if (client.says407?.tunnel === undefined) expectTold(text, client, 407, "handle_unknown");
    else expect(text).toContain(client.says407.tunnel);
  });

  test("is told of a wrong password, for HTTP", async () => {
    const text = await expectFailure(client, proxyUrl("http", WRONG), `http://${TARGETS.plain}/`);
    if (client.says407?.absolute !== undefined) expect(text).toContain(client.says407.absolute);
    else expectTold(text, client.tunnelsHttp === true ? client : {}, 407, "handle_unknown");
  });

  test.for([
    { what: "a target that it may not reach", host: TARGETS.other, status: 403, code: "target_not_allowed" },
    {
      what: "a target that nobody serves",
      host: `${TARGETS.api}:${DEAD_PORT}`,
      status: 502,
      code: "connect_refused",
    },
  ])("is told why there is no tunnel to $what", async ({ host, status, code }) => {
    const text = await expectFailure(client, userUrl(stack, "http"), `https://${host}/`);
    expectTold(text, client, status, code);
  });
});

describe("a target that is limited to a path", () => {
  const curl = named("curl");
  const limited = `http://${TARGETS.limited}`;

  test.for(["curl", "requests", "Go's net/http", "Java's HttpClient"])(
    "opens to %s below it",
    async (name) => {
      const ran = await get(stack, named(name), userUrl(stack, "http"), `${limited}/open/a?b=c`);
      expect(ran.code, ran.stderr).toBe(0);
      expect((told(ran) as Call).url).toBe("/open/a?b=c");
    },
  );

  test.for(["/shut", "/open", "/open/../shut", "/open/%2e%2e/shut", "/"])("is shut at %s", async (path) => {
    const before = (await stack.calls()).length;
    const pathAsIs = { ...curl, command: () => [...curl.command(""), "--path-as-is"] };
    const text = await expectFailure(pathAsIs, userUrl(stack, "https"), `${limited}${path}`);
    expect(text).toContain("403");
    expect(text).toContain("target_not_allowed");
    expect((await stack.calls()).length).toBe(before);
  });

  test("opens no tunnel", async () => {
    const tunnels = { ...curl, command: () => [...curl.command(""), "--proxytunnel"] };
    const text = await expectFailure(tunnels, userUrl(stack, "https"), `${limited}/open/a`);
    expect(text).toContain("403");
    expect(text).toContain("target_not_allowed");
  });
});

describe("a SOCKS user", () => {
  // 2: not allowed by the ruleset (RFC 1928 section 6); 5: connection refused.
  test.for([
    ["a wrong password", () => proxyUrl("socks5h", WRONG), TARGETS.api, /Can't complete SOCKS5 .*\(2\)/],
    [
      "what is no password at all",
      () => proxyUrl("socks5h", { ...WRONG, password: "secret" }),
      TARGETS.api,
      /User was rejected by the SOCKS5 server/,
    ],
    ["a target that is shut", () => userUrl(stack, "socks5h"), TARGETS.other, /SOCKS5 .*\(2\)/],
    [
      "a target that nobody serves",
      () => userUrl(stack, "socks5h"),
      `${TARGETS.api}:${DEAD_PORT}`,
      /SOCKS5 .*\(5\)/,
    ],
  ] as const)("is told of %s", async ([, proxy, host, says]) => {
    expect(await expectFailure(named("curl"), proxy(), `https://${host}/`)).toMatch(says);
  });
});

test("a scope token is taken as a bearer's, too", async () => {
  const curl = named("curl");
  const header = `Proxy-Authorization: Bearer ${stack.user.token}`;
  const bearer = { ...curl, command: () => [...curl.command(""), "--proxy-header", header] };
  const proxy = `https://${PROXY_NAME}:${PROXY_PORTS.https}`;
  const ran = await get(stack, bearer, proxy, `https://${TARGETS.api}/`);
  expect(ran.code, ran.stderr).toBe(0);
});

test("a scope token is as good a password as its handle", async () => {
  const { client, token } = stack.user;
  for (const name of ["curl", "requests", "Go's net/http", "Node's https", "Erlang's httpc"]) {
    for (const target of ["https", "http"]) {
      const proxy = proxyUrl("http", { client, password: token });
      const ran = await get(stack, named(name), proxy, `${target}://${TARGETS.api}/`);
      expect(ran.code, `${name} ${ran.stderr}`).toBe(0);
    }
  }
});
