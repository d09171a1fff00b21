import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Changes, type Form, type RefusalStack, startRefusalStack } from "../support/refusal-stack.ts";
import { expectRefusal } from "../support/refusal.ts";

/** Good tokens with requests that they do not fit, and targets that the client may not reach. */

const ALLOW = [
  "TARGET/v1/*",
  "GET,HEAD TARGET/read",
  "POST TARGET/write",
  "https://allowed.com",
  "https://*.vendor.test",
  "https://xn--bcher-kva.example",
];

let relay: RefusalStack;
let connections = 0;

beforeAll(async () => {
  relay = await startRefusalStack(ALLOW);
});
beforeEach(() => {
  connections = relay.target.connections;
});
afterEach(() => expect(relay.isAlive()).toBe(true));
afterAll(async () => {
  try {
    // Whatever was told late shows here.
    expect(relay.relayedAllTheSame()).toEqual([]);
  } finally {
    await relay.stop();
  }
});

/** Nothing was dialled, and no node began to relay. */
function expectNothing(): void {
  expect(relay.target.connections).toBe(connections);
  expect(relay.relayedAllTheSame()).toEqual([]);
}

const forms = ["enveloped", "raw"] as const;

/** TARGET is the counting target's origin, PORT its port. */
const NOT_ALLOWED: readonly string[] = [
  "TARGET/",
  "TARGET/v1",
  "TARGET/V1/x",
  "TARGET/v1/../admin",
  "TARGET/v1/./x",
  "TARGET/v1/%2e%2e/admin",
  "TARGET/v1/%252e%252e/admin",
  "TARGET/v1/..%2fadmin",
  "TARGET/v1/..;/admin",
  "TARGET/v1//admin",
  "TARGET/v1/x%5c..%5cadmin",
  "TARGET/v1/%c0%ae%c0%ae/admin",
  "TARGET/v1/%00/x",
  "TARGET/%76%31/x",
  "TARGET/readme",
  "TARGET/read/more",
  "TARGET/read%3fx",
  "http://localhost:PORT/v1/x",
  "https://localhost/v1/x",
  "https://localhost:1/v1/x",
  "https://127.0.0.1:PORT/v1/x",
  "https://[::1]:PORT/v1/x",
  "https://localhost.evil.com:PORT/v1/x",
  "https://x.localhost:PORT/v1/x",
  "https://notlocalhost:PORT/v1/x",
  "https://allowed.com.evil.com/",
  "https://allowed.com.localhost:PORT/",
  "https://evil-allowed.com/",
  "https://www.allowed.com/",
  "https://allowed.com:8443/",
  "http://allowed.com/",
  "http://allowed.com:443/",
  "https://allowed.co/",
  "https://vendor.test/",
  "https://evilvendor.test/",
  "https://a.vendor.test.evil.com/",
  "https://xn--bcher-kva.example.evil.com/",
  "https://xn--bcher-lva.example/",
];

const INVALID: readonly string[] = [
  "https://allowed.com./",
  "https://allowed.com../",
  "https://.allowed.com/",
  "https://user:password@allowed.com/",
  "https://allowed.com@localhost:PORT/v1/x",
  "https://allowed.com:443@localhost:PORT/v1/x",
  "https://@allowed.com/",
  "https://allowed.com%40localhost:PORT/v1/x",
  "https://b\u00fccher.example/",
  "https://allowed\u3002com/",
  "https://\u0430llowed.com/",
  "https://allowed.com\u200b/",
  "https://\uff41llowed.com/",
  "https://%61llowed.com/",
  "https://allowed.com%2eevil.com/",
  "https://allowed.com%00.evil.com/",
  "https://allowed.com\\@localhost:PORT/v1/x",
  "https://localhost:PORT\\v1\\x",
  "https://allowed.com#@localhost:PORT/v1/x",
  "TARGET/v1/x#part",
  "TARGET/v1/a b",
  "TARGET/v1/\r\nX-Smuggled: yes",
  "TARGET/v1/\u00e9",
  " TARGET/v1/x",
  "https://allowed.com:/",
  "https://allowed.com:0/",
  "https://allowed.com:0443/",
  "https://allowed.com:65536/",
  "https://allowed.com:443:443/",
  "https://allowed.com:4a3/",
  "https://0x7f000001:PORT/v1/x",
  "https://2130706433:PORT/v1/x",
  "https://127.1:PORT/v1/x",
  "https://0177.0.0.1:PORT/v1/x",
  "https://127.0.0.1.:PORT/v1/x",
  "https://[::ffff:127.0.0.1]:PORT/v1/x",
  "https://[0:0:0:0:0:0:0:1]:PORT/v1/x",
  "https://[::1%25lo]:PORT/v1/x",
  "https://[::1]evil:PORT/v1/x",
  "//localhost:PORT/v1/x",
  "/v1/x",
  "localhost:PORT/v1/x",
  "https:localhost:PORT/v1/x",
  "https:///localhost:PORT/v1/x",
  "https://",
  "https:///",
  "ftp://allowed.com/",
  "file:///etc/passwd",
  "tcp://allowed.com:443",
  "wss://allowed.com/",
  "javascript:alert(1)",
  "",
  `TARGET/v1/${"x".repeat(8_192)}`,
];

const written = (url: string) =>
  url.replaceAll("TARGET", relay.targetUrl).replaceAll("PORT", String(relay.target.port));

describe.each(forms)("targets, in the %s form", (form) => {
  test("what is allowed is reached: upper case in a host is the same host", async () => {
    for (const url of [
      "TARGET/v1/x",
      "TARGET/read",
      "TARGET/v1/x?to=/../admin",
      "https://LOCALHOST:PORT/v1/x",
    ]) {
      const answer = await relay.ask({ form, claims: { url: written(url) } });
      expect([answer?.status, answer?.field("relay-status"), answer?.body]).toEqual([200, "target", "ok"]);
    }
    expect(relay.target.heads.at(-2)!.url).toBe("/v1/x?to=/../admin");
  });

  test.each(NOT_ALLOWED)("%s is not allowed", async (url) => {
    expectRefusal(await relay.ask({ form, claims: { url: written(url) } }), "target_not_allowed");
    expectNothing();
  });

  test.each(INVALID)("%j is no target", async (url) => {
    expectRefusal(await relay.ask({ form, claims: { url: written(url) } }), "url_invalid");
    expectNothing();
  });

  test.each(["POST", "PUT", "DELETE", "get", "OPTIONS", "M-SEARCH"])(
    "%s where GET is allowed",
    async (htm) => {
      // workerd answers unknown methods itself, so they come in the envelope alone.
      const isKnown = form === "enveloped" || !["get", "M-SEARCH"].includes(htm);
      const answer = await relay.ask({ form, claims: { htm, url: `${relay.targetUrl}/read` } });
      if (isKnown) expectRefusal(answer, "target_not_allowed");
      else expect(answer?.status).toBe(501);
      expectNothing();
    },
  );
});

describe("what was signed and what is sent", () => {
  test.each(["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])(
    "a token for GET, sent raw as %s",
    async (method) => {
      const url = `${relay.targetUrl}/v1/x`;
      expectRefusal(await relay.ask({ form: "raw", method, claims: { url } }), "token_method");
      expectNothing();
    },
  );

  test("a token for GET, sent raw as HEAD", async () => {
    const answer = await relay.ask({
      form: "raw",
      method: "HEAD",
      claims: { url: `${relay.targetUrl}/v1/x` },
    });
    expect([answer?.status, answer?.field("relay-error")]).toEqual([401, "token_method"]);
    expectNothing();
  });

  test.each(["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])("an envelope by %s", async (method) => {
    const claims = { url: `${relay.targetUrl}/v1/x`, htm: method };
    expectRefusal(await relay.ask({ method, claims }), "method_not_allowed");
    expectNothing();
  });

  test.each(["2", "1; head-only", "", "1, 1"])("an envelope of the version %j", async (version) => {
    const claims = { url: `${relay.targetUrl}/v1/x`, htm: "POST" };
    const answer = await relay.ask({ form: "raw", claims, fields: [`Relay-Envelope: ${version}`] });
    expectRefusal(answer, "request_invalid");
    expectNothing();
  });

  test.each(forms)("Relay-Target with another URL (%s)", async (form) => {
    const url = `${relay.targetUrl}/v1/x`;
    for (const restated of [`${url}?`, `${url}/`, url.toUpperCase(), "", "https://allowed.com/"]) {
      const answer = await relay.ask({ form, claims: { url }, fields: [`Relay-Target: ${restated}`] });
      expectRefusal(answer, "token_url");
    }
    const twice = [`Relay-Target: ${url}`, `Relay-Target: ${url}`];
    expectRefusal(await relay.ask({ form, claims: { url }, fields: twice }), "token_url");
    expectNothing();
    expect((await relay.ask({ form, claims: { url }, fields: twice.slice(1) }))?.status).toBe(200);
  });

  const CHUNKED = { body: "3\r\nabc\r\n0\r\n\r\n", framing: ["Transfer-Encoding: chunked"] };
  const FRAMINGS: readonly (readonly [signed: unknown, sent: Changes])[] = [
    ["none", { body: "abc" }],
    [0, { body: "abc" }],
    [3, {}],
    [3, { body: "abcd" }],
    [3, { body: "ab" }],
    ["chunked", {}],
    ["none", CHUNKED],
    [0, CHUNKED],
  ];
  describe.each(forms)("framing (%s)", (form: Form) => {
    test.each(FRAMINGS)("signed as %j, sent as %j", async (signed, sent) => {
      const claims = { htm: "POST", url: `${relay.targetUrl}/v1/x`, framing: signed };
      expectRefusal(await relay.ask({ form, claims, ...sent }), "token_framing");
      expectNothing();
    });
  });
});

describe("the edge's routes", () => {
  test.each(["/", "/Fetch", "/fetch/", "//fetch", "/fetch/x", "/rx", "/admin", "/constructor", "/%66etch/"])(
    "%s is none",
    async (path) => {
      const answer = await relay.ask({ path, claims: { url: `${relay.targetUrl}/v1/x` } });
      expect(["not_found", "token_type"]).toContain(answer?.field("relay-error"));
      expectNothing();
    },
  );

  test("an absolute request line with another host changes nothing", async () => {
    const claims = { url: `${relay.targetUrl}/v1/x`, aud: "http://other.example.com" };
    expectRefusal(await relay.ask({ path: "http://other.example.com/fetch", claims }), "token_audience");
    expectNothing();
  });
});
