import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { importPrivateKey, parseRelayUrl } from "../../protocol/keys.ts";
import { type RequestClaims } from "../../protocol/claims.ts";
import { newRequestId, signToken } from "../../protocol/tokens.ts";
import { type Bench, sleep, startBench } from "../support/fidelity.ts";

/** `POST /cancel`: whoever signed a request may give it up, and nobody else. */

let bench: Bench;
beforeAll(async () => {
  bench = await startBench();
});
afterAll(() => bench.stop());

async function tokenFor(changes: Partial<Omit<RequestClaims, "act">> & { act: string }): Promise<string> {
  const { edge, clientId, privateKey } = parseRelayUrl(bench.relayUrl);
  const iat = Math.floor(Date.now() / 1_000);
  const claims = {
    iss: clientId,
    aud: edge,
    iat,
    exp: iat + 60,
    jti: newRequestId(),
    htm: "GET",
    url: bench.tls.url,
    ...changes,
  };
  return signToken("request", claims, await importPrivateKey(privateKey!));
}

async function post(path: string, token: string): Promise<{ status: number; code: string | null }> {
  const headers = { "Relay-Authorization": `Bearer ${token}` };
  const response = await fetch(`${bench.edge}${path}`, {
    method: path === "/fetch" ? "GET" : "POST",
    headers,
  });
  await response.body?.cancel();
  return { status: response.status, code: response.headers.get("relay-error") };
}

describe("a request that waits for its target", () => {
  test("ends when it is cancelled, and its target's connection with it", async () => {
    bench.tls.next(() => new Promise(() => {}));
    const jti = newRequestId();
    const answer = post("/fetch", await tokenFor({ act: "fetch", jti }));
    const exchange = await bench.tls.request();
    expect(await post("/cancel", await tokenFor({ act: "cancel", jti }))).toEqual({
      status: 204,
      code: null,
    });
    expect(await answer).toEqual({ status: 502, code: "answer_cut" });
    await exchange.closed;
  });

  test("goes on when another id is cancelled", async () => {
    let speak = () => {};
    bench.tls.next(async (exchange) => {
      await new Promise<void>((resolve) => (speak = resolve));
      await exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    const answer = post("/fetch", await tokenFor({ act: "fetch" }));
    await bench.tls.request();
    expect((await post("/cancel", await tokenFor({ act: "cancel" }))).status).toBe(204);
    await sleep(100);
    speak();
    expect(await answer).toEqual({ status: 200, code: null });
  });
});

test("a request that comes after its cancellation is refused", async () => {
  const jti = newRequestId();
  expect((await post("/cancel", await tokenFor({ act: "cancel", jti }))).status).toBe(204);
  expect(await post("/fetch", await tokenFor({ act: "fetch", jti }))).toEqual({
    status: 401,
    code: "token_replayed",
  });
  expect(bench.tls.unasked).toBe(0);
});

test.each([
  { door: "/cancel", act: "fetch" },
  { door: "/fetch", act: "cancel" },
])("$door takes no token whose act is $act", async ({ door, act }) => {
  expect(await post(door, await tokenFor({ act }))).toEqual({ status: 401, code: "token_act" });
  expect(bench.tls.unasked).toBe(0);
});
