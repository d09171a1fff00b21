import { setTimeout as pause } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { adminCall } from "../../client/admin.ts";
import type { ErrorCode } from "../../protocol/errors.ts";
import { generateClientKey, importPrivateKey } from "../../protocol/keys.ts";
import { newRequestId, signToken, TOKEN_TYPES } from "../../protocol/tokens.ts";
import type { RawAnswer } from "../support/raw-http.ts";
import { type RefusalStack, startRefusalStack } from "../support/refusal-stack.ts";
import { expectRefusal } from "../support/refusal.ts";

/** Relay URLs that open nothing: by their credential, by their path, by who asks. */

/** What the client may reach; TARGET is the counting target's origin. */
const ALLOW = [
  "TARGET/v1",
  "TARGET/v1/*",
  "POST TARGET/write",
  "https://allowed.test",
  "http://allowed.test",
];
/** What most tokens here open. */
const SCOPE = ["GET,POST TARGET/v1", "GET,POST TARGET/v1/*"];
const HANDLE = "hf_0123456789abcdefghijklmnopqrstuv";

let relay: RefusalStack;
let connections = 0;
let good = "";

beforeAll(async () => {
  relay = await startRefusalStack(ALLOW);
  good = scope();
});
beforeEach(() => {
  connections = relay.target.connections;
});
afterEach(() => expect(relay.isAlive()).toBe(true));
afterAll(() => relay.stop());

interface Wrong {
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly typ?: keyof typeof TOKEN_TYPES;
}

function scope({ claims = {}, typ = "scope" }: Wrong = {}): string {
  const { allow = SCOPE, ...more } = claims;
  return relay.token({
    header: { typ: TOKEN_TYPES[typ] },
    claims: {
      act: "url",
      exp: relay.now() + 3_600,
      htm: undefined,
      url: undefined,
      allow: (allow as string[]).map((entry) => entry.replace("TARGET", relay.targetUrl)),
      ...more,
    },
  });
}

const ask = (path: string, method = "GET", fields: readonly string[] = []) =>
  relay.ask({ form: "raw", method, path, fields, authorization: [] });

/** Refused, with nothing dialled, and with nothing of the URL in what is said. */
async function expectRefused(
  code: ErrorCode,
  credential: string,
  rest = "/v1/secluded",
  ...more: [string?, string[]?]
) {
  const answer = await ask(`/r/${credential}${rest}`, ...more);
  const { detail } = expectRefusal(answer, code);
  expect(answer!.field("content-security-policy")).toMatch(/^sandbox/);
  expect(answer!.field("referrer-policy")).toBe("no-referrer");
  expect(relay.target.connections).toBe(connections);
  const told = JSON.stringify([answer!.fields, answer!.body]);
  for (const secret of [credential, "secluded"]) {
    if (secret.length > 6) expect(told).not.toContain(secret);
  }
  return detail;
}

test("the good one is good", async () => {
  for (const path of ["/v1", "/v1/", "/v1/x?y=/../z"]) {
    const answer = await ask(`/r/${good}${path}`);
    expect([answer?.status, answer?.body]).toEqual([200, "ok"]);
    expect(relay.target.heads.at(-1)!.url).toBe(path);
  }
});

describe("credentials", () => {
  test.each<[string, ErrorCode, string | (() => string)]>([
    ["a handle that nobody made", "handle_unknown", HANDLE],
    ["half a handle", "token_malformed", HANDLE.slice(0, 20)],
    ["a word", "token_malformed", "secluded-word"],
    ["dots", "token_malformed", ".."],
    ["encoded dots", "token_malformed", "%2e%2e"],
    ["a token with a character changed", "token_signature", () => `${good.slice(0, -4)}AAAA`],
    ["a token of another edge", "token_audience", () => scope({ claims: { aud: "https://other.example" } })],
    ["one of a client that nobody knows", "client_unknown", () => scope({ claims: { iss: "nobody" } })],
    ["one that has expired", "token_expired", () => scope({ claims: { iat: 1, exp: 2 } })],
    ["one of the future", "token_premature", () => scope({ claims: { iat: relay.now() + 60 } })],
    [
      "one that lives too long",
      "token_lifetime",
      () => scope({ claims: { exp: relay.now() + 91 * 86_400 } }),
    ],
    ["one for streams", "token_act", () => scope({ claims: { act: "stream" } })],
    ["one for the proxy", "token_act", () => scope({ claims: { act: "proxy" } })],
    ["a request token", "token_type", () => scope({ typ: "request" })],
    ["one for a node that is not there", "node_unknown", () => scope({ claims: { node: "node-9" } })],
    ["one with a percent sign", "token_malformed", () => good.replace(".", "%2e")],
  ])("%s: %s", async (_what, code, credential) => {
    await expectRefused(code, typeof credential === "string" ? credential : credential());
  });

  test.each<[string, string[]]>([
    ["two origins", ["https://allowed.test", "TARGET"]],
    ["two paths", ["TARGET/v1/*", "TARGET/v2/*"]],
    ["a path and what is below another", ["TARGET/v1", "TARGET/v1x/*"]],
    ["other methods below", ["GET TARGET/v1", "TARGET/v1/*"]],
    ["three entries", ["TARGET/v1", "TARGET/v1/*", "TARGET/v1/*"]],
    ["plain http", ["http://allowed.test"]],
    ["a host and port", ["tcp://allowed.test:443"]],
    ["every host", ["https://*"]],
    ["hosts by a wildcard", ["https://*.allowed.test"]],
    ["what can't be read", ["allowed.test"]],
  ])("an allow of %s, in a token and for a handle", async (_what, allow) => {
    const token = scope({ claims: { allow } });
    await expectRefused("request_invalid", token);
    const made = adminCall(relay.stack.operator, "POST", "/admin/handles", { body: { token } });
    await expect(made).rejects.toMatchObject({ code: "request_invalid" });
  });

  test.each(["/r", "/r/", "/r//v1/secluded", "/r?secluded", "/%72/secluded", "//r/secluded", "/R/secluded"])(
    "%s has none",
    async (path) => {
      const answer = await ask(path);
      expectRefusal(answer, "not_found");
      expect(answer!.body).not.toContain("secluded");
    },
  );

  test("a handle of a token for another door", async () => {
    const body = { token: scope({ claims: { act: "stream" } }) };
    const { value } = await adminCall(relay.stack.operator, "POST", "/admin/handles", { body });
    await expectRefused("token_act", (value as { handle: string }).handle);
  });

  test("a handle works at once, and is refused within 10 s of being revoked", async () => {
    const body = { token: good };
    const { value } = await adminCall(relay.stack.operator, "POST", "/admin/handles", { body });
    const { id, handle } = value as { id: string; handle: string };
    expect((await ask(`/r/${handle}/v1/x`))?.status).toBe(200);
    await adminCall(relay.stack.operator, "DELETE", `/admin/handles/${id}`);
    const revoked = Date.now();
    // A node may hear of it before the isolate has forgotten the handle: it says so in other words.
    const isPending = (answer: RawAnswer | undefined) =>
      answer?.status === 200 || answer?.field("relay-error") === "revoked";
    let answer = await ask(`/r/${handle}/v1/x`);
    while (isPending(answer) && Date.now() < revoked + 11_000) {
      await pause(250);
      answer = await ask(`/r/${handle}/v1/x`);
    }
    connections = relay.target.connections;
    expectRefusal(answer, "handle_unknown");
    await expectRefused("handle_unknown", handle);
  });

  test("a client of another key is let in by its own list alone", async () => {
    const { publicJwk, privateKey } = await generateClientKey();
    const record = { id: "other", keys: [publicJwk], allow: [`GET ${relay.targetUrl}/v1/*`] };
    await adminCall(relay.stack.operator, "PUT", "/admin/clients/other", { body: record });
    const claims = {
      iss: "other",
      aud: relay.stack.edge,
      act: "url",
      jti: newRequestId(),
      iat: relay.now(),
      exp: relay.now() + 60,
      allow: [relay.targetUrl],
    };
    const token = await signToken("scope", claims, await importPrivateKey(privateKey));
    expect((await ask(`/r/${token}/v1/x`))?.status).toBe(200);
    connections = relay.target.connections;
    for (const path of ["/v1", "/secluded", "/v1/../secluded"]) {
      await expectRefused("target_not_allowed", token, path);
    }
    expect(await expectRefused("target_not_allowed", token, "/v1/secluded", "POST")).toContain(
      "other may not send POST",
    );
  });
});

describe("paths that climb, by a token that is bound to /v1", () => {
  test.each([
    "",
    "/",
    "?x",
    "/V1/x",
    "/v1x",
    "/v1/../secluded",
    "/v1/./secluded",
    "/v1/x/..",
    "/v1/%2e%2e/secluded",
    "/v1/%2E./secluded",
    "/v1/%252e%252e/secluded",
    "/v1/..%2fsecluded",
    "/v1/..%5csecluded",
    "/v1/x%2f..%2f..%2fsecluded",
    "/v1%2f..%2fsecluded",
    "/v1/..;/secluded",
    "/v1//secluded",
    "//v1/secluded",
    "/%76%31/secluded/..",
    "/v1/%c0%ae%c0%ae/secluded",
    "/v1/%00/secluded",
    "/v1/%zz/secluded",
    "/v1/%",
    "/../v1/secluded",
    "/../../admin/clients/dev",
    "/x/../v1/secluded",
  ])("%s", async (path) => {
    await expectRefused("target_not_allowed", good, path);
  });

  test.each(["/v1/..\\secluded", "/v1\\secluded", "\\..\\secluded", "/v1/\u00e9", "/v1/secluded?\u00e9"])(
    "%s is no URL",
    async (path) => {
      const utf8 = Buffer.from(path).toString("latin1");
      // Behind the credential itself there is no path yet.
      await expectRefused(path.startsWith("\\") ? "token_malformed" : "url_invalid", good, utf8);
    },
  );

  test("a path that is too long is no URL", async () => {
    await expectRefused("url_invalid", good, `/v1/${"x".repeat(8_200)}`);
  });

  // They are the runtime's own refusals, without a mark: docs/fidelity.md names them.
  test.each(["/v1/a<b", "/v1/a>b", "/v1/a`b", "/v1/x?a<b", "/v1/x?a>b", '/v1/x?a"b', "/v1/a\tb", "/v1/\xff"])(
    "%j never gets as far as to the edge",
    async (path) => {
      const answer = await ask(`/r/${good}${path}`);
      expect([answer?.status, answer?.field("relay-error")]).toEqual([400, undefined]);
      expect(relay.target.connections).toBe(connections);
    },
  );
});

test.each(["PUT", "DELETE", "HEAD", "OPTIONS", "PROPFIND"])(
  "%s, which the token doesn't name",
  async (method) => {
    const answer = await ask(`/r/${good}/v1/x`, method);
    expect([answer?.status, answer?.field("relay-error")]).toEqual([403, "target_not_allowed"]);
    expect(relay.target.connections).toBe(connections);
  },
);

describe("what is no program's", () => {
  test.each<[what: string, fields: string[], method?: string]>([
    ["a navigation", ["Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"]],
    ["a navigation, by its mode alone", ["Sec-Fetch-Mode: navigate"]],
    ["a frame", ["Sec-Fetch-Dest: iframe"]],
    ["a script", ["Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: script"]],
    ["an image", ["Sec-Fetch-Dest: image"]],
    ["a worker", ["Sec-Fetch-Mode: same-origin", "Sec-Fetch-Dest: worker"]],
    ["a shared worker", ["Sec-Fetch-Dest: sharedworker"]],
    ["a service worker", ["Sec-Fetch-Dest: serviceworker"]],
    ["a service worker of an old browser", ["Service-Worker: script"]],
    ["a page's fetch", ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"]],
    ["a page's fetch from the edge itself", ["Sec-Fetch-Site: same-origin"]],
    ["a form", ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"], "POST"],
    ["an opaque fetch", ["Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: empty"]],
    ["a preflight", ["Origin: https://x.example", "Access-Control-Request-Method: POST"], "OPTIONS"],
    [
      "a WebSocket",
      ["Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="],
    ],
    ["a WebSocket among others", ["Upgrade: h2c, WebSocket"]],
  ])("%s", async (_what, fields, method) => {
    await expectRefused(
      "request_invalid",
      scope({ claims: { allow: ["TARGET"] } }),
      "/v1/secluded",
      method,
      fields,
    );
  });

  test("TRACE", async () => {
    await expectRefused("method_not_allowed", good, "/v1/secluded", "TRACE");
  });
});
