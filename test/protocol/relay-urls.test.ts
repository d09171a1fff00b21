import { describe, expect, test } from "vitest";
import { parseRelayUrlTarget, relayUrl, relayUrlAllow } from "../../protocol/relay-urls.ts";

const EDGE = "https://edge.example.com";

test.each<[allow: string[], origin: string]>([
  [["https://api.bank.com"], "https://api.bank.com"],
  [["https://API.bank.com:443/v1/*"], "https://api.bank.com"],
  [["GET,POST https://api.bank.com:8443/graphql"], "https://api.bank.com:8443"],
  [["https://[2001:db8::1]:8443"], "https://[2001:db8::1]:8443"],
  [["GET https://api.bank.com/v1", "GET https://api.bank.com/v1/*"], "https://api.bank.com"],
])("%j is of %s", (allow, origin) => {
  const target = parseRelayUrlTarget(allow);
  expect([target.origin, target.allow.map(({ entry }) => entry)]).toEqual([origin, allow]);
});

test.each<[allow: string[], why: string]>([
  [[], "one entry"],
  [["https://a.com/x", "https://a.com/x/*", "https://a.com/x/*"], "one entry"],
  [["https://a.com", "https://b.com"], "second entry"],
  [["https://a.com/x/*", "https://a.com/x"], "second entry"],
  [["GET https://a.com/x", "POST https://a.com/x/*"], "second entry"],
  [["https://a.com/x/*", "https://a.com/x/*/*"], "wildcard elsewhere"],
  [["https://a.com/", "https://a.com//*"], "dot segments"],
  [["http://a.com"], "https://"],
  [["tcp://a.com:443"], "https://"],
  [["https://*"], "one host"],
  [["https://*.a.com"], "one host"],
  [["a.com"], "scheme://host"],
])("%j is of none: %s", (allow, why) => {
  expect(() => parseRelayUrlTarget(allow)).toThrow(
    expect.objectContaining({ code: "request_invalid", detail: expect.stringContaining(why) as string }),
  );
});

describe("of a target that somebody wrote", () => {
  test.each<[target: string, methods: string[] | undefined, allow: string[], path: string]>([
    ["https://api.bank.com", undefined, ["https://api.bank.com"], ""],
    ["https://api.bank.com/", ["GET"], ["GET https://api.bank.com/"], ""],
    ["https://api.bank.com/*", undefined, ["https://api.bank.com/*"], ""],
    [
      "https://api.bank.com/v1",
      ["GET", "POST"],
      ["GET,POST https://api.bank.com/v1", "GET,POST https://api.bank.com/v1/*"],
      "/v1",
    ],
    ["https://api.bank.com/v1/", undefined, ["https://api.bank.com/v1/*"], "/v1"],
    ["https://api.bank.com/a/b/*", undefined, ["https://api.bank.com/a/b/*"], "/a/b"],
  ])("%s, methods %j", (target, methods, allow, path) => {
    expect(relayUrlAllow(target, methods)).toEqual(allow);
    expect(relayUrl(EDGE, "hf_x", target)).toBe(`${EDGE}/r/hf_x${path}`);
  });

  test.each([
    "api.bank.com",
    "http://api.bank.com",
    "https://api.bank.com/v1?x=y",
    "https://api.bank.com/v1#x",
    "https://user:password@api.bank.com",
    "https://api.bank.com/../v1",
    "https://*.bank.com",
    "https://",
    "",
  ])("%j can be none", (target) => {
    expect(() => relayUrlAllow(target)).toThrow(expect.objectContaining({ code: "request_invalid" }));
  });
});
