import { expect, test } from "vitest";
import { parseAllowedTarget } from "../../protocol/targets.ts";
import { judgeTarget } from "../../worker/judge-target.ts";
import type { PolicyMode } from "../../worker/policy-mode.ts";
import { readProxyTarget, withinOf } from "../../worker/proxy-targets.ts";
import { messageOf, outcome } from "../protocol/outcome.ts";

const ORIGIN = "http://legacy.example.com";
const DB = "tcp://db.example.com:5432";

function permit(
  target: string,
  token: readonly string[],
  client: readonly string[] = token,
  mode: PolicyMode = "enforce",
) {
  const wanted = readProxyTarget(target);
  const own = { id: "acme", allow: client.map((entry) => parseAllowedTarget(entry)), mode };
  const lists = { whose: "this token", allow: token.map((entry) => parseAllowedTarget(entry)) };
  judgeTarget(wanted, own, lists);
  return withinOf(wanted, own, lists);
}

test.each<[target: string, token: string[], client?: string[]]>([
  [DB, [DB]],
  [DB, ["tcp://*.example.com:5432"], [DB]],
  ["tcp://[2001:db8::1]:22", ["tcp://[2001:db8::1]:22"]],
  ["tcp://api.example.com:443", ["https://api.example.com"], ["https://*"]],
  ["tcp://api.example.com:443", ["https://api.example.com/v1/*", "https://api.example.com"]],
  ["tcp://legacy.example.com:80", ["tcp://legacy.example.com:80"]],
  [ORIGIN, [ORIGIN]],
  [ORIGIN, [ORIGIN], ["http://*"]],
  [`${ORIGIN}:8080`, ["http://*.example.com:8080"]],
  ["http://[2001:db8::1]", ["http://[2001:db8::1]"]],
  // One entry that is not limited makes the others needless.
  [ORIGIN, [`GET ${ORIGIN}/v1/*`, ORIGIN]],
])("%s is open to a token for %j", (target, token, client) => {
  expect(permit(target, token, client)).toBeUndefined();
});

test.each<[what: string, token: string[], client: string[], within: string[][]]>([
  ["a path of the token's", [`${ORIGIN}/v1/*`], [ORIGIN], [[`${ORIGIN}/v1/*`]]],
  ["methods of the client's", [ORIGIN], [`GET,HEAD ${ORIGIN}`], [[`GET,HEAD ${ORIGIN}`]]],
  [
    "both",
    [`${ORIGIN}/v1/*`],
    ["GET http://*.example.com"],
    [[`${ORIGIN}/v1/*`], ["GET http://*.example.com"]],
  ],
  [
    "several entries, without those of other origins",
    [`${ORIGIN}/v1/*`, `PUT ${ORIGIN}`, DB, "https://legacy.example.com", "http://legacy.example.com:8080"],
    ["http://*"],
    [[`${ORIGIN}/v1/*`, `PUT ${ORIGIN}`]],
  ],
])("an origin is narrowed by %s", (_what, token, client, within) => {
  expect(permit(ORIGIN, token, client)).toEqual(within);
});

test("a client's list that is not enforced narrows nothing, and the token's own does", () => {
  expect(permit(ORIGIN, [ORIGIN], [`GET ${ORIGIN}`], "report")).toBeUndefined();
  expect(permit(ORIGIN, [`${ORIGIN}/v1/*`], [], "report")).toEqual([[`${ORIGIN}/v1/*`]]);
});

test.each<[what: string, target: string, token: string[], client?: string[]]>([
  ["another host", "tcp://evil.example.com:5432", [DB]],
  ["another port", "tcp://db.example.com:5433", [DB]],
  ["a target that the token alone allows", DB, [DB], ["tcp://other.example.com:5432"]],
  ["a target that the client alone allows", DB, ["tcp://other.example.com:5432"], [DB]],
  ["a tunnel to what is limited to a path", "tcp://api.example.com:443", ["https://api.example.com/v1/*"]],
  ["a tunnel to what is limited to methods", "tcp://api.example.com:443", ["GET https://api.example.com"]],
  [
    "a tunnel to what the client's record limits to a path",
    "tcp://api.example.com:443",
    ["https://api.example.com"],
    ["https://api.example.com/v1/*"],
  ],
  ["a tunnel to an http origin", "tcp://legacy.example.com:80", [ORIGIN]],
  ["a tunnel to an http origin that is limited", "tcp://legacy.example.com:80", [`${ORIGIN}/v1/*`]],
  ["another origin", "http://evil.example.com", [ORIGIN]],
  ["another port of an origin", `${ORIGIN}:8080`, [ORIGIN]],
  ["an origin with a tcp entry alone", ORIGIN, ["tcp://legacy.example.com:80"]],
  ["an origin with an https entry alone", ORIGIN, ["https://legacy.example.com", "https://*"]],
  ["an origin that the token alone allows", ORIGIN, [`${ORIGIN}/v1/*`], [DB]],
  ["an origin that the client alone allows", ORIGIN, [DB], [ORIGIN]],
  ["a host whose suffix is the same", "http://example.com", ["http://*.example.com"]],
])("%s is refused", (_what, target, token, client) => {
  expect(outcome(() => permit(target, token, client))).toEqual({ error: "target_not_allowed" });
});

test.each([
  "https://api.example.com",
  "https://api.example.com:80",
  `${ORIGIN}/`,
  `${ORIGIN}/v1`,
  `${ORIGIN}?a`,
  `${ORIGIN}:80`,
  "http://LEGACY.example.com",
  "http://x@legacy.example.com",
  "tcp://DB.example.com:5432",
  "tcp://db.example.com",
  "tcp://db.example.com:0",
  "tcp://db.example.com:65536",
  "tcp://0x7f.1:80",
  "tcp://127.1:80",
  "tcp://x@db.example.com:5432",
  "tcp:db.example.com:5432",
  "db.example.com:5432",
  "",
])("%j is no target of a proxy", (target) => {
  const allow = ["http://*", "https://*", "http://*:8080", DB, "tcp://*.example.com:443"];
  expect(outcome(() => permit(target, allow))).toEqual({ error: "url_invalid" });
});

test("a refusal tells whose list is in the way, and that a limit is", async () => {
  const message = (target: string, token: string[], client: string[]) =>
    messageOf(async () => permit(target, token, client));
  expect(await message(DB, [ORIGIN], [DB])).toMatch(
    /this token may open no tunnel to db\.example\.com:5432$/,
  );
  expect(await message(DB, [DB], [ORIGIN])).toMatch(/acme may open no tunnel/);
  expect(await message(ORIGIN, [DB], [ORIGIN])).toMatch(/this token may send nothing to http:/);
  const api = "https://api.example.com";
  expect(await message("tcp://api.example.com:443", [api], [`${api}/v1/*`])).toMatch(
    /acme may open no tunnel to api\.example\.com:443: it is limited to paths or methods/,
  );
  expect(await message("tcp://legacy.example.com:80", ["http://legacy.example.com"], [])).toMatch(
    /this token may open no tunnel to legacy\.example\.com:80: an http:\/\/ target opens none, tcp:\/\/legacy\.example\.com:80 does$/,
  );
});
