import { describe, expect, test } from "vitest";
import { parseSeedListUrl } from "../../protocol/seed-list.ts";
import { type AllowedTarget, isTunnelAllowed, parseAllowedTarget } from "../../protocol/targets.ts";
import { mayAskFor, permittedSeeds } from "../../worker/seeds.ts";

const NAME = parseSeedListUrl("mongodb+srv://cluster0.ab1cd.mongodb.net");
const allowed = (...entries: string[]) => entries.map((entry) => parseAllowedTarget(entry));
const WILD = allowed("tcp://*.ab1cd.mongodb.net:27017");
const seed = (host: string, port = 27_017) => ({ host, port });
const reach = (allow: readonly AllowedTarget[]) => (one: { host: string; port: number }) =>
  isTunnelAllowed(allow, one);
const GOOD = seed("shard-00.ab1cd.mongodb.net");

test.each([
  ["mongodb+srv://Cluster0.AB1cd.mongodb.net", "cluster0.ab1cd.mongodb.net", "ab1cd.mongodb.net"],
  ["mongodb+srv://a.b.c.d.test", "a.b.c.d.test", "b.c.d.test"],
])("%s", (url, host, parent) => {
  expect(parseSeedListUrl(url)).toEqual({ host, parent });
});

test.each([
  "mongodb://a.b.test",
  "mongodb+srv://a.b.test/db",
  "mongodb+srv://a.b.test:27017",
  "mongodb+srv://user@a.b.test",
  "mongodb+srv://a.b.test?x",
  "mongodb+srv://a.b.test,c.b.test",
  "mongodb+srv://b.test",
  "mongodb+srv://test",
  "mongodb+srv://192.0.2.1",
  "mongodb+srv://[2001:db8::1]",
  "mongodb+srv://a.b.test.",
  "mongodb+srv://a b.test",
  "mongodb+srv://",
  "tcp://a.b.test",
])("%s is none", (url) => {
  expect(() => parseSeedListUrl(url)).toThrow(expect.objectContaining({ code: "url_invalid" }));
});

describe("what may be asked for", () => {
  test.each<[boolean, string]>([
    [true, "tcp://shard-00.ab1cd.mongodb.net:27017"],
    [true, "tcp://*.ab1cd.mongodb.net:27017"],
    [true, "tcp://*.x.ab1cd.mongodb.net:27017"],
    [true, "tcp://*.mongodb.net:27017"],
    [true, "https://*"],
    [false, "tcp://*.other.mongodb.net:27017"],
    [false, "tcp://ab1cd.mongodb.net:27017"],
    [false, "tcp://xab1cd.mongodb.net:27017"],
    [false, "tcp://*.1cd.mongodb.net:27017"],
    [false, "https://shard-00.ab1cd.mongodb.net/x"],
    [false, "GET https://shard-00.ab1cd.mongodb.net"],
    [false, "http://shard-00.ab1cd.mongodb.net"],
  ])("%s for %s", (may, entry) => {
    expect(mayAskFor(NAME, allowed(entry))).toBe(may);
  });
});

describe("hosts", () => {
  test("are told as they are dialled", () => {
    const seeds = [seed("Shard-00.ab1cd.mongodb.net."), seed("shard-01.ab1cd.mongodb.net")];
    expect(permittedSeeds(NAME, { seeds, options: "" }, reach(WILD))).toEqual({
      seeds: [seed("shard-00.ab1cd.mongodb.net"), seed("shard-01.ab1cd.mongodb.net")],
      options: "",
    });
  });

  /** The client may reach the good host and these. */
  test.each<[what: string, bad: unknown, ...also: string[]]>([
    ["outside the parent domain", seed("shard-00.evil.test"), "https://*", "tcp://shard-00.evil.test:27017"],
    ["that ends like the parent domain", seed("xab1cd.mongodb.net"), "tcp://xab1cd.mongodb.net:27017"],
    ["that is the parent domain", seed("ab1cd.mongodb.net"), "tcp://ab1cd.mongodb.net:27017"],
    ["in a sibling of it", seed("a.other.mongodb.net"), "tcp://*.mongodb.net:27017"],
    ["that is an address", seed("192.0.2.1"), "tcp://192.0.2.1:27017"],
    ["at another port", seed("shard-00.ab1cd.mongodb.net", 27_018)],
    ["that is no target", seed("shard-01.ab1cd.mongodb.net")],
    ["with a path", seed("shard-00.ab1cd.mongodb.net/x")],
    ["with a port of its own", seed("shard-00.ab1cd.mongodb.net:1")],
    ["at port 0", seed("shard-00.ab1cd.mongodb.net", 0)],
    ["at half a port", seed("shard-00.ab1cd.mongodb.net", 0.5)],
    ["that is no text", { host: 5, port: 27_017 }],
    ["that is none", null],
  ])("one %s refuses them all", (_what, bad, ...also) => {
    const allow = allowed("tcp://shard-00.ab1cd.mongodb.net:27017", ...also);
    const decide = (seeds: unknown[]) => permittedSeeds(NAME, { seeds, options: "" }, reach(allow));
    expect(decide([GOOD]).seeds).toEqual([GOOD]);
    expect(() => decide([GOOD, bad])).toThrow(expect.objectContaining({ code: "target_not_allowed" }));
    expect(() => decide([GOOD, bad])).not.toThrow(/evil|shard-0|192/);
  });

  test.each([
    undefined,
    null,
    "x",
    {},
    { seeds: [], options: "" },
    { seeds: {}, options: "" },
    { seeds: [GOOD] },
    { seeds: [GOOD], options: 5 },
    { seeds: Array.from({ length: 101 }, () => GOOD), options: "" },
  ])("%j is no seed list", (answer) => {
    expect(() => permittedSeeds(NAME, answer, reach(WILD))).toThrow(
      expect.objectContaining({ code: "answer_invalid", reached: "no" }),
    );
  });
});

test.each([
  ["", ""],
  ["authSource=admin&replicaSet=atlas-1a2b-shard-0", "authSource=admin&replicaSet=atlas-1a2b-shard-0"],
  ["loadBalanced=true", "loadBalanced=true"],
  ["authSource=%24external", "authSource=%24external"],
  ["tls=false&authSource=admin&proxyHost=evil.test", "authSource=admin"],
  ["authsource=admin", ""],
  ["authSource=admin&authSource=other", "authSource=admin"],
  ["authSource=a@evil.test/x?y", ""],
  ["authSource", ""],
  ["authSource=", ""],
  ["replicaSet=a=b&loadBalanced=true", "loadBalanced=true"],
])("of the options %j %j is passed on", (options, passed) => {
  expect(permittedSeeds(NAME, { seeds: [GOOD], options }, reach(WILD)).options).toBe(passed);
});
