import { resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runOnClient } from "./support/client.ts";
import { EDGE_ORIGIN, EGRESS, TARGETS } from "./support/hosts.ts";
import { type ProxyStack, startProxyStack } from "./support/stack.ts";
import type { Call } from "./support/target-server.ts";

/** The signers that docs/protocol.md shows to other languages' implementers, run as they are shown; curl sends what they sign. */

const EXAMPLES = resolve(import.meta.dirname, "../../examples/signers");

const SIGNERS = [
  { name: "Python with PyJWT", command: ["/usr/bin/python3", resolve(EXAMPLES, "sign.py")] },
  { name: "Elixir with :crypto", command: ["elixir", resolve(EXAMPLES, "sign.exs")] },
];

let stack: ProxyStack;

beforeAll(async () => {
  stack = await startProxyStack();
});

afterAll(() => stack?.stop());

async function sign(command: readonly string[], method: string, url: string): Promise<string> {
  const env = { HOLDFAST_URL: stack.relay.url("app") };
  const { code, stdout, stderr } = await runOnClient(stack, [...command, method, url], { env });
  expect(code, stderr).toBe(0);
  return stdout.trim();
}

/** Sends a signed request in the raw form; the token is no argument of the process. */
async function send(token: string, args: readonly string[]): Promise<{ status: string; body: string }> {
  const script = `printf 'Relay-Authorization: Bearer %s\\n' "$TOKEN" | curl -sS -H @- -w '\\n%{http_code}' "$@"`;
  const { code, stdout, stderr } = await runOnClient(
    stack,
    ["sh", "-c", script, "sh", ...args, `${EDGE_ORIGIN}/fetch`],
    { env: { TOKEN: token } },
  );
  expect(code, stderr).toBe(0);
  const [status = "", ...lines] = stdout.split("\n").toReversed();
  return { status, body: lines.toReversed().join("\n") };
}

describe.for(SIGNERS)("$name", ({ command }) => {
  test.for([
    { method: "GET", path: '/v1/accounts?name="a\\b"&x=%7e', args: [] },
    { method: "POST", path: "/v1/payments", args: ["-d", "amount=1"] },
  ])("signs a $method", async ({ method, path, args }) => {
    const token = await sign(command, method, `https://${TARGETS.api}${path}`);
    const { status, body } = await send(token, args);
    expect(status, body).toBe("200");
    const call = JSON.parse(body) as Call;
    expect(call).toMatchObject({ method, url: path });
    expect(EGRESS).toContain(call.from);
  });

  test("signs for one request alone", async () => {
    const token = await sign(command, "GET", `https://${TARGETS.api}/`);
    expect((await send(token, [])).status).toBe("200");
    const again = await send(token, []);
    expect([again.status, (JSON.parse(again.body) as { code: string }).code]).toEqual([
      "401",
      "token_replayed",
    ]);
  });

  test("can't sign for another target than the client's own", async () => {
    const { status, body } = await send(await sign(command, "GET", `https://${TARGETS.other}/`), []);
    expect([status, (JSON.parse(body) as { code: string }).code]).toEqual(["403", "target_not_allowed"]);
  });
});
