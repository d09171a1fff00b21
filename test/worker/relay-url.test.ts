import { expect, test } from "vitest";
import { parseTargetUrl } from "../../protocol/targets.ts";
import { cookieInside } from "../../worker/relay-url/cookies.ts";
import { splitRelayUrl } from "../../worker/relay-url/path.ts";
import { assertProgram } from "../../worker/relay-url/programs.ts";

/** The pure parts; what the wire makes of them is in test/end-to-end/relay-url.test.ts. */

test.each<[url: string, path: string | undefined, credential?: string]>([
  ["https://edge.test/r/hf_x", "/"],
  ["https://edge.test/r/hf_x/", "/"],
  ["https://edge.test/r/hf_x?a=/r/b", "/?a=/r/b"],
  ["http://edge.test:8787/r/hf_x/v1/../%2e%2e//x?y?z", "/v1/../%2e%2e//x?y?z"],
  ["https://edge.test/r/hf_x/\\..?\\", "/\\..?\\"],
  ["https://edge.test/r/hf_x\\y/z", "/z", "hf_x\\y"],
  ["https://edge.test/r/../x", "/x", ".."],
  ["https://edge.test/r/hf_x/a#b", "/a"],
  ["https://edge.test/r", undefined],
  ["https://edge.test/r/", undefined],
  ["https://edge.test/r//x", undefined],
  ["https://edge.test/x/r/hf_x", undefined],
  ["https://edge.test/?/r/hf_x", undefined],
  ["https://edge.test/%72/hf_x", undefined],
])("%s asks for %s", (url, path, credential = "hf_x") => {
  expect(splitRelayUrl(url)).toEqual(path === undefined ? undefined : { credential, path });
});

test.each<[cookie: string, path: string, seen: string | undefined]>([
  ["a=1", "/", "a=1; Path=/r/hf_x"],
  ["a=1", "/login", "a=1; Path=/r/hf_x"],
  ["a=1", "/v1/login?next=/a/b/c", "a=1; Path=/r/hf_x/v1"],
  ["a=1", "/v1/", "a=1; Path=/r/hf_x/v1"],
  ["a=1; Path=/", "/v1/x", "a=1; Path=/r/hf_x"],
  ["a=1;path=/api/;SECURE", "/v1/x", "a=1;SECURE; Path=/r/hf_x/api/"],
  ["a=1; Path=/one; Path=/two", "/", "a=1; Path=/r/hf_x/two"],
  ["a=1; Path=/one; Path=two", "/v1/x", "a=1; Path=/r/hf_x/v1"],
  ["a=1; Path=", "/v1/x", "a=1; Path=/r/hf_x/v1"],
  ["a=1; Path", "/v1/x", "a=1; Path=/r/hf_x/v1"],
  ["a=b=c; Domain=api.bank.com; Max-Age=5", "/", "a=b=c; Max-Age=5; Path=/r/hf_x"],
  ["a=1; Domain=.BANK.com", "/", "a=1; Path=/r/hf_x"],
  ["a=1; Domain=", "/", "a=1; Path=/r/hf_x"],
  ["a=1; Domain=edge.example.com", "/", undefined],
  ["a=1; Domain=pi.bank.com", "/", undefined],
  ["a=1; Domain=bank.com; Domain=example.com", "/", undefined],
  ["domain=example.com; Path=/", "/", "domain=example.com; Path=/r/hf_x"],
  ["", "/", "; Path=/r/hf_x"],
])("the cookie %j from %s is %j", (cookie, path, seen) => {
  expect(cookieInside(cookie, parseTargetUrl(`https://api.bank.com${path}`), "/r/hf_x")).toBe(seen);
});

test.each<[what: string, method: string, fields: Record<string, string>]>([
  ["curl", "GET", { accept: "*/*", "user-agent": "curl/8" }],
  ["Node's fetch", "POST", { "sec-fetch-mode": "cors" }],
  ["a program that says it all", "GET", { "sec-fetch-mode": "cors", "sec-fetch-dest": "empty" }],
  ["OPTIONS that is no preflight", "OPTIONS", { origin: "https://x.example" }],
  ["Java's offer of HTTP/2", "GET", { upgrade: "h2c" }],
])("%s is a program", (_what, method, fields) => {
  expect(() => assertProgram({ method, headers: new Headers(fields) })).not.toThrow();
});
