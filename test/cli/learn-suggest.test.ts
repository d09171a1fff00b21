import { describe, expect, test } from "vitest";
import { suggestAllow } from "../../cli/learn/suggest.ts";
import { type ObservedTarget, pathEntryOf } from "../../protocol/observed.ts";
import { parseTargetUrl } from "../../protocol/targets.ts";

const seen = (entry: string, paths: string[] = [], more = false): ObservedTarget => ({
  entry,
  paths,
  more_paths: more,
  first: 1,
  last: 2,
  count: 1,
  would_deny: true,
});

const BANK = "https://api.bank.com";
const DB = "tcp://db.example.com:5432";

describe("a suggestion", () => {
  test.each<[what: string, observed: ObservedTarget[], allow: string[], paths?: string[]]>([
    ["nothing", [], []],
    ["one method", [seen(`GET ${BANK}`, ["/v1/*"])], [`GET ${BANK}`], [`GET ${BANK}/v1/*`]],
    [
      "methods of one origin, put together",
      [seen(`POST ${BANK}`, ["/v1/*"]), seen(`GET ${BANK}`, ["/health", "/v1/*"])],
      [`GET,POST ${BANK}`],
      [`GET ${BANK}/health`, `GET,POST ${BANK}/v1/*`],
    ],
    [
      "paths that are not all known",
      [seen(`POST ${BANK}`, ["/v1/*"], true), seen(`GET ${BANK}`, ["/v1/*"])],
      [`GET,POST ${BANK}`],
      [`POST ${BANK}`, `GET ${BANK}/v1/*`],
    ],
    [
      "paths that the whole origin has already",
      [seen(`GET ${BANK}`, [], true), seen(`GET ${BANK}`, ["/v1/*"])],
      [`GET ${BANK}`],
      [`GET ${BANK}`],
    ],
    [
      "tunnels, in order",
      [seen(DB), seen("tcp://api.bank.com:443"), seen(`GET ${BANK}`)],
      [`GET ${BANK}`, "tcp://api.bank.com:443", DB],
    ],
    [
      "a proxy's origin, whose methods nobody sees",
      [seen("GET http://old.test", ["/v1/*"]), seen("http://old.test")],
      ["http://old.test"],
      ["http://old.test"],
    ],
    [
      "hosts, of which it makes no wildcard",
      ["a", "b", "c"].map((host) => seen(`GET https://${host}.vendor.io`)),
      ["a", "b", "c"].map((host) => `GET https://${host}.vendor.io`),
    ],
    ["ports and literals", [seen("GET https://[2001:db8::1]:8443")], ["GET https://[2001:db8::1]:8443"]],
  ])("from %s", (_what, observed, allow, paths = allow) => {
    expect(suggestAllow(observed, [], { paths: false })).toMatchObject({ allow, added: allow });
    expect(suggestAllow(observed, [], { paths: true })).toMatchObject({ allow: paths, added: paths });
  });

  test.each<[what: string, present: string[], observed: ObservedTarget[], rest: object]>([
    ["all of it", [`GET ${BANK}`, DB], [seen(`GET ${BANK}`), seen(DB)], {}],
    ["a host that is new", [DB], [seen(`GET ${BANK}`), seen(DB)], { added: [`GET ${BANK}`] }],
    [
      "a method that is new",
      [`GET ${BANK}`],
      [seen(`PUT ${BANK}`)],
      { added: [`PUT ${BANK}`], unused: [`GET ${BANK}`] },
    ],
    [
      "one method of two that is new",
      [`GET ${BANK}`],
      [seen(`PUT ${BANK}`), seen(`GET ${BANK}`)],
      { added: [`GET,PUT ${BANK}`], narrowed: [`GET ${BANK}`] },
    ],
    [
      "methods apart",
      [`GET ${BANK}`, `PUT ${BANK}`],
      [seen(`PUT ${BANK}`), seen(`GET ${BANK}`)],
      { narrowed: [`GET ${BANK}`, `PUT ${BANK}`] },
    ],
    [
      "a port that is another",
      [BANK],
      [seen(`GET ${BANK}:8443`)],
      { added: [`GET ${BANK}:8443`], unused: [BANK] },
    ],
    [
      "a wildcard that was used",
      ["https://*.bank.com"],
      [seen(`GET ${BANK}`)],
      { narrowed: ["https://*.bank.com"] },
    ],
    ["a tunnel by an https entry", [BANK], [seen("tcp://api.bank.com:443")], { narrowed: [BANK] }],
    [
      "a tunnel by a limited one",
      [`${BANK}/v1/*`],
      [seen("tcp://api.bank.com:443")],
      { added: ["tcp://api.bank.com:443"], unused: [`${BANK}/v1/*`] },
    ],
    ["what was not used", [DB, "https://old.test", BANK], [seen(DB)], { unused: [BANK, "https://old.test"] }],
    [
      "a path below",
      [`${BANK}/v1/accounts/*`],
      [seen(`GET ${BANK}`, ["/v1/*"])],
      { added: [`GET ${BANK}`], narrowed: [`${BANK}/v1/accounts/*`] },
    ],
    [
      "another path",
      [`${BANK}/v2/*`],
      [seen(`GET ${BANK}`, ["/v1/*"])],
      { added: [`GET ${BANK}`], unused: [`${BANK}/v2/*`] },
    ],
    [
      "a path that may be any",
      [`${BANK}/v2/*`],
      [seen(`GET ${BANK}`, [], true)],
      { added: [`GET ${BANK}`], narrowed: [`${BANK}/v2/*`] },
    ],
  ])("tells of the present list: %s", (_what, present, observed, rest) => {
    const suggestion = suggestAllow(observed, present, { paths: false });
    expect(suggestion).toMatchObject({ added: [], unused: [], narrowed: [], ...rest });
  });

  test("with paths is covered by a path that has them", () => {
    const observed = [seen(`GET ${BANK}`, ["/v1/*", "/health"])];
    expect(suggestAllow(observed, [`${BANK}/v1/*`], { paths: true })).toMatchObject({
      allow: [`GET ${BANK}/health`, `GET ${BANK}/v1/*`],
      added: [`GET ${BANK}/health`],
    });
  });
});

describe("of a path is kept", () => {
  test.each([
    ["/v1/accounts/7?x=1", "/v1/*"],
    ["/v1/", "/v1/*"],
    ["/v1", "/v1"],
    ["/health?deep=1", "/health"],
    ["/open-api/x", "/open-api/*"],
    ["/Prod/x", "/Prod/*"],
    ["/api_2/x", undefined],
    ["/", undefined],
    ["/?x", undefined],
    ["//v1/x", undefined],
    ["/v1/../admin", undefined],
    ["/v1/%2e%2e/admin", undefined],
    ["/v1//x", undefined],
    ["/bot123456:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw/send", undefined],
    ["/hf_0123456789abcdefghijABCDEFGHIJ01/x", undefined],
    ["/XsDfeRtYuIoPlKjHgFdS/x", undefined],
    ["/550e8400-e29b-41d4-a716-446655440000/x", undefined],
    ["/12345/x", undefined],
    [`/${"a".repeat(25)}/x`, undefined],
    ["/caf%C3%A9/x", undefined],
  ])("%s: %s", (path, kept) => {
    expect(pathEntryOf(parseTargetUrl(`${BANK}${path}`))).toBe(kept);
  });
});
