import { describe, expect, test } from "vitest";
import { parseSeedListUrl } from "../../protocol/seed-list.ts";
import { parseAllowedTarget, parseTargetUrl, parseTunnelUrl } from "../../protocol/targets.ts";
import { type AllowList, judgeTarget, mayReach, type Wanted } from "../../worker/judge-target.ts";
import type { PolicyMode } from "../../worker/policy-mode.ts";
import { messageOf } from "../protocol/outcome.ts";

const parsed = (entries: readonly string[]) => entries.map((entry) => parseAllowedTarget(entry));
const client = (mode: PolicyMode, allow: readonly string[]) => ({ id: "acme", mode, allow: parsed(allow) });
const token = (allow: readonly string[]): AllowList => ({ whose: "this token", allow: parsed(allow) });

const GET: Wanted = { kind: "request", method: "GET", url: parseTargetUrl("https://api.bank.com/v1/x") };
const STREAM: Wanted = { kind: "tunnel", as: "stream", target: parseTunnelUrl("tcp://db.test:5432") };
const ORIGIN: Wanted = { kind: "origin", url: parseTargetUrl("http://old.test") };
const SEEDS: Wanted = { kind: "seeds", name: parseSeedListUrl("mongodb+srv://c0.acme.test") };

/** Of each kind: an entry that admits it, and one that doesn't, with what is said then. */
const KINDS: readonly [kind: string, wanted: Wanted, good: string, bad: string, says: string][] = [
  [
    "a request",
    GET,
    "GET https://api.bank.com/v1/*",
    "POST https://api.bank.com",
    "may not send GET to https://api.bank.com",
  ],
  [
    "a stream",
    STREAM,
    "tcp://db.test:5432",
    "http://db.test:5432",
    "may open no stream to db.test:5432: an http:// target opens none",
  ],
  ["an origin", ORIGIN, "http://*", "https://old.test", "may send nothing to http://old.test"],
  [
    "a seed list",
    SEEDS,
    "tcp://*.acme.test:1",
    "tcp://*.other.test:1",
    "may open no stream to any host of acme.test",
  ],
];

describe.each(KINDS)("%s", (_kind, wanted, good, bad, says) => {
  test.each<[mode: PolicyMode, own: string[], list: string[] | undefined, outcome: boolean | string]>([
    ["enforce", [good], undefined, false],
    ["enforce", [bad, good], [bad, good], false],
    ["enforce", [bad], undefined, `acme ${says}`],
    ["enforce", [bad], [good], `acme ${says}`],
    ["enforce", [good], [bad], `this token ${says}`],
    ["report", [good], undefined, false],
    ["report", [good], [good], false],
    ["report", [bad], undefined, true],
    ["report", [], [good], true],
    ["report", [good], [bad], `this token ${says}`],
    ["report", [bad], [bad], `this token ${says}`],
  ])("%s, %j, a token's %j: %s", async (mode, own, list, outcome) => {
    const judge = () => judgeTarget(wanted, client(mode, own), list && token(list));
    if (typeof outcome === "boolean") expect(judge()).toEqual({ wouldDeny: outcome });
    else expect(await messageOf(async () => judge())).toContain(`target_not_allowed: ${outcome}`);
    if (list === undefined) expect(mayReach(wanted, client(mode, own))).toBe(typeof outcome === "boolean");
  });
});

test("an origin that the client's list narrows would be refused in part", () => {
  expect(judgeTarget(ORIGIN, client("report", ["http://old.test/v1/*"]))).toEqual({ wouldDeny: true });
  expect(judgeTarget(ORIGIN, client("report", ["http://old.test/v1/*", "http://old.test"]))).toEqual({
    wouldDeny: false,
  });
  expect(judgeTarget(ORIGIN, client("enforce", ["http://old.test/v1/*"]))).toEqual({ wouldDeny: false });
});
