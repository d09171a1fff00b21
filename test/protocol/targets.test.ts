import { describe, expect, test } from "vitest";
import { isAllowed, parseAllowedTarget, parseTargetUrl, type TargetUrl } from "../../protocol/targets.ts";
import { readVectors } from "../vectors/read.ts";
import { outcome, seeded } from "./outcome.ts";

interface Case {
  readonly name: string;
}
interface ParseCase extends Case {
  readonly url: string;
  readonly expect?: TargetUrl;
  readonly error?: string;
}
interface EntryCase extends Case {
  readonly entry: string;
  readonly expect?: Readonly<Record<"scheme" | "host" | "port" | "path" | "methods", unknown>>;
  readonly error?: string;
}
interface MatchCase extends Case {
  readonly allow: readonly string[];
  readonly method: string;
  readonly url: string;
  readonly allowed: boolean;
}

const vectors = readVectors("targets.json") as {
  parse: ParseCase[];
  entries: EntryCase[];
  match: MatchCase[];
};

describe("parseTargetUrl", () => {
  test.for(vectors.parse)("$name", (vector) => {
    const expected = vector.expect === undefined ? { error: vector.error } : { value: vector.expect };
    expect(outcome(() => parseTargetUrl(vector.url))).toEqual(expected);
  });

  test("what it accepts, a WHATWG parser sends to the same host and port", () => {
    const accepted = vectors.parse.filter((vector) => vector.expect !== undefined);
    expect(accepted.length).toBeGreaterThan(30);
    for (const vector of accepted) expectAgreement(vector.url);
  });

  test("the same for random URLs, made of the pieces that parsers differ on", () => {
    const pick = seeded(20_260_101);
    let accepted = 0;
    for (let round = 0; round < 40_000; round++) if (expectAgreement(randomUrl(pick))) accepted++;
    expect(accepted).toBeGreaterThan(4_000);
  });
});

describe("parseAllowedTarget", () => {
  test.for(vectors.entries)("$name", (vector) => {
    const read = outcome(() => parseAllowedTarget(vector.entry));
    if (vector.expect === undefined) {
      expect(read).toEqual({ error: vector.error });
      return;
    }
    const { host, path, methods, ...rest } = vector.expect;
    expect(read).toEqual({
      value: {
        entry: vector.entry,
        ...rest,
        host: host ?? undefined,
        path: path ?? undefined,
        methods: methods ?? undefined,
      },
    });
  });

  test("a refusal quotes the entry", () => {
    expect(() => parseAllowedTarget("https://127.1")).toThrow(/"https:\/\/127\.1" .*127\.0\.0\.1/);
  });
});

describe("isAllowed", () => {
  test.for(vectors.match)("$name", (vector) => {
    expect(isAllowed(vector.allow.map(parseAllowedTarget), vector.method, parseTargetUrl(vector.url))).toBe(
      vector.allowed,
    );
  });

  test("the worst path costs little: it is judged at the edge, for anybody who holds a key", () => {
    const allow = [parseAllowedTarget("https://api.bank.example/v1/*")];
    const begun = performance.now();
    for (const filler of [
      `%${"25".repeat(4_000)}`,
      "%25".repeat(2_700),
      "/.a".repeat(2_700),
      ". ".repeat(10),
      "/;.".repeat(2_700),
    ]) {
      const url = `https://api.bank.example/v1/${filler.replaceAll(" ", "%20")}`;
      isAllowed(allow, "GET", parseTargetUrl(url));
    }
    expect(performance.now() - begun).toBeLessThan(500);
  });
});

/** Whether the URL was accepted; where it was, a WHATWG parser must find the same host and port in it. */
function expectAgreement(url: string): boolean {
  const read = outcome(() => parseTargetUrl(url));
  if ("error" in read) {
    expect(read.error).toBe("url_invalid");
    return false;
  }
  const { value } = read;
  const whatwg = new URL(url);
  expect(value.scheme, url).toBe(whatwg.protocol.slice(0, -1));
  expect(value.host.includes(":") ? `[${value.host}]` : value.host, url).toBe(whatwg.hostname);
  expect(value.port, url).toBe(
    Number(whatwg.port === "" ? { http: 80, https: 443 }[value.scheme] : whatwg.port),
  );
  expect(value.origin, url).toBe(whatwg.origin);
  expect(value.authority, url).toBe(whatwg.host);
  // Without a path the slash is gained; all the rest is the input's own tail.
  expect(url.endsWith(value.path) || url.endsWith(value.path.slice(1)), url).toBe(true);
  expect(whatwg.username + whatwg.password + whatwg.hash, url).toBe("");
  return true;
}

function randomUrl(pick: (below: number) => number): string {
  const of = (pieces: readonly string[]) => pieces[pick(pieces.length)]!;
  const scheme = of(["https://", "https://", "http://", "HTTP://", "https:/", "//", "https:\\\\"]);
  const labels = [
    "a",
    "b.example",
    "A",
    "-",
    "_x",
    "xn--bcher-kva",
    "127",
    "0x7f",
    "1",
    "256",
    "08",
    "*",
    "%61",
    "ü",
    "",
    " ",
  ];
  const address = [
    "[::1]",
    "[2001:db8::1]",
    "[2001:DB8:0::1]",
    "[::ffff:1.2.3.4]",
    "127.0.0.1",
    "10.1",
    "[::1%25a]",
  ];
  const name = Array.from({ length: 1 + pick(3) }, () =>
    of(pick(3) === 0 ? labels : ["a", "b", "example"]),
  ).join(".");
  const host = pick(5) === 0 ? of(address) : name;
  const userInfo = pick(12) === 0 ? of(["u@", "u:p@", "@", "a.example:443@"]) : "";
  const port = pick(4) === 0 ? of([":443", ":80", ":8443", ":0", ":", ":65536", ":065", ":1"]) : "";
  const tails = [
    "/",
    "/",
    "a",
    "..",
    ".",
    ";",
    "%2f",
    "%",
    "\\",
    "?",
    "@",
    ":",
    "#",
    "&",
    "=",
    "%zz",
    "|",
    "//",
    "*",
    "é",
    "\t",
  ];
  const tail = Array.from({ length: pick(8) }, () => of(pick(2) === 0 ? tails : ["/", "x", "?"])).join("");
  return `${scheme}${userInfo}${host}${port}${tail}`;
}
