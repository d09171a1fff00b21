import { createHmac } from "node:crypto";
import { EDGE, encode, NOW, REQUEST_ID, type Toolbox } from "./toolbox.ts";

/** How to read the file. */
const DESCRIPTION = [
  "Proxy grants, as the edge answers them to a node that asked about a user of its proxy door.",
  "cases: `grant` is judged at the time `now` (seconds since 1970) by the node `node` of the edge `edge`, which holds `key` (base64url; the one that grants.json derives for it from the current master key) alone.",
  "`expect` holds the claims of a grant that is taken; `error` the code of the refusal.",
  "within: a request with `method` and `url` under a grant whose `within` is the case's; null where it has none. `admitted` tells whether the request may be made.",
];

const NODE = "fra-1";
/** Some key's thumbprint. */
const KEY = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
const HEADER = { alg: "HS256", typ: "holdfast-grant+jwt" };

const CLAIMS = {
  iss: EDGE,
  aud: NODE,
  sub: "acme",
  act: "proxy",
  iat: NOW - 60,
  exp: NOW + 240,
  jti: REQUEST_ID,
  target: "tcp://db.example.com:5432",
};

/** Of a grant for one request. */
const REQUEST = {
  act: "fetch",
  exp: NOW - 31,
  tat: NOW - 60,
  htm: "GET",
  url: "http://legacy.example.com/",
  framing: "none",
  pass: "AAECAwQFBgc",
  attempt: 0,
};

interface Case {
  readonly name: string;
  readonly grant: string;
  readonly expect?: object;
  readonly error?: string;
}

type Changes = Readonly<Record<string, unknown>>;

/** The content of proxy-grants.json. */
export function proxyGrantVectors({ masters, derive }: Toolbox): object {
  const own = derive(masters.current, NODE);
  const compact = (header: object, payload: unknown, key = own) => {
    const input = `${encode(header)}.${encode(payload)}`;
    return `${input}.${createHmac("sha256", key).update(input).digest("base64url")}`;
  };
  const taken = (name: string, changes: Changes = {}): Case => {
    const claims = { ...CLAIMS, ...changes };
    return { name, grant: compact(HEADER, claims), expect: claims };
  };
  const refused = (name: string, changes: Changes, error = "grant_invalid"): Case => ({
    name,
    grant: compact(HEADER, { ...CLAIMS, ...changes }),
    error,
  });
  const raw = (name: string, grant: string): Case => ({ name, grant, error: "grant_invalid" });
  const good = compact(HEADER, CLAIMS);
  const [header, payload, signature] = good.split(".");
  const http = { target: "http://legacy.example.com" };

  return {
    description: DESCRIPTION,
    edge: EDGE,
    node: NODE,
    now: NOW,
    key: own.toString("base64url"),
    cases: [
      taken("a tunnel"),
      taken("a tunnel to an address", { target: "tcp://192.0.2.80:443" }),
      taken("a tunnel to an IPv6 address", { target: "tcp://[2001:db8::1]:443" }),
      taken("by a handle or a scope token", { key: KEY, cred: REQUEST_ID }),
      refused("key of another type", { key: 5 }),
      refused("cred of another type", { key: KEY, cred: [REQUEST_ID] }),
      taken("an origin", http),
      taken("an origin with a port", { target: "http://legacy.example.com:8080" }),
      taken("one list of targets", { ...http, within: [["GET http://legacy.example.com/v1/*"]] }),
      taken("two lists of targets", {
        ...http,
        within: [["http://legacy.example.com/v1/*"], ["GET http://*.example.com"]],
      }),
      taken("limits", {
        limits: { rate: 10.5, concurrent: 4, bytes: 1e6, streams: 2, idle: 60, lifetime: 600 },
      }),
      taken("a claim that nobody knows is left alone", { note: "x" }),
      taken("as late as is allowed", { iat: NOW - 304, exp: NOW - 4 }),
      taken("signed by a clock as far ahead as is allowed", { iat: NOW + 5, exp: NOW + 305 }),
      taken("the last of its token", { iat: NOW - 4, exp: NOW - 4 }),
      taken("a long list of targets", {
        ...http,
        within: [[`http://legacy.example.com/${"x".repeat(40_000)}`]],
      }),

      raw("nothing", ""),
      raw("the scheme before it", `Bearer ${good}`),
      raw("two parts", `${header}.${payload}`),
      raw("an empty signature", `${header}.${payload}.`),
      raw("claims changed after signing", `${header}.${encode({ ...CLAIMS, sub: "other" })}.${signature}`),
      raw("alg none", `${encode({ ...HEADER, alg: "none" })}.${payload}.`),
      raw("typ of a scope token", compact({ ...HEADER, typ: "holdfast-scope+jwt" }, CLAIMS)),
      raw("no typ", compact({ alg: "HS256" }, CLAIMS)),
      raw("a payload that is null", compact(HEADER, null)),
      raw("another node's key", compact(HEADER, CLAIMS, derive(masters.current, "fra-2"))),
      raw("a key that is not held", compact(HEADER, CLAIMS, derive(masters.next, NODE))),
      raw("longer than is looked at", compact(HEADER, { ...CLAIMS, note: "x".repeat(50_000) })),

      ...["fra-2", "FRA-1", "", undefined, [NODE]].map((aud) =>
        refused(`aud ${JSON.stringify(aud)}`, { aud }, "grant_node"),
      ),
      ...["https://other.example.com", `${EDGE}/`, undefined].map((iss) =>
        refused(`iss ${JSON.stringify(iss)}`, { iss }),
      ),
      ...["fetch", "stream", "authorize", "", undefined, ["proxy"]].map((act) =>
        refused(`act ${JSON.stringify(act)}`, { act }),
      ),
      refused("a grant for one request", REQUEST),
      ...["sub", "iat", "exp", "jti", "target"].flatMap((name) => [
        refused(`no ${name}`, { [name]: undefined }),
        refused(`${name} of another type`, { [name]: [] }),
      ]),
      ...["app\nother", "Upper", ""].map((sub) => refused(`sub ${JSON.stringify(sub)}`, { sub })),
      ...[
        "https://api.example.com",
        "http://legacy.example.com/",
        "http://legacy.example.com/v1",
        "http://legacy.example.com:80",
        "HTTP://legacy.example.com",
        "http://Legacy.example.com",
        "tcp://db.example.com",
        "tcp://db.example.com:0",
        "tcp://db.example.com:05432",
        "tcp://DB.example.com:5432",
        "tcp://x@db.example.com:5432",
        "tcp://0x7f.1:5432",
        "db.example.com:5432",
        "",
      ].map((target) => refused(`target ${JSON.stringify(target)}`, { target })),
      ...[null, {}, "http://legacy.example.com", ["http://legacy.example.com"], [[5]], [null]].map((within) =>
        refused(`within ${JSON.stringify(within)}`, { ...http, within }),
      ),
      ...[{ rate: 0 }, { streams: "4" }, null, 5].map((limits) =>
        refused(`limits ${JSON.stringify(limits)}`, { limits }),
      ),
      refused("at the border of the leeway", { iat: NOW - 305, exp: NOW - 5 }, "grant_expired"),
      refused("signed in the future", { iat: NOW + 6, exp: NOW + 60 }, "grant_expired"),
      refused("a second too long", { iat: NOW - 1, exp: NOW + 300 }),
      refused("exp before iat", { iat: NOW, exp: NOW - 1 }),
    ],
    within: [
      admission("nothing narrows it", null, "DELETE", "/x", true),
      admission("inside the path", [["http://legacy.example.com/v1/*"]], "GET", "/v1/a?b=c", true),
      admission("beside the path", [["http://legacy.example.com/v1/*"]], "GET", "/v2", false),
      admission(
        "a path that could be read as another",
        [["http://legacy.example.com/v1/*"]],
        "GET",
        "/v1/../v2",
        false,
      ),
      admission("the same, encoded", [["http://legacy.example.com/v1/*"]], "GET", "/v1/%252e%252e/v2", false),
      admission("a method that is named", [["GET,HEAD http://legacy.example.com"]], "HEAD", "/", true),
      admission("a method that is not", [["GET,HEAD http://legacy.example.com"]], "POST", "/", false),
      admission("a method in another case", [["GET http://legacy.example.com"]], "get", "/", false),
      admission(
        "one entry of several",
        [["GET http://legacy.example.com", "http://legacy.example.com/v1/*"]],
        "PUT",
        "/v1/a",
        true,
      ),
      admission("an entry of another origin", [["http://other.example.com"]], "GET", "/", false),
      admission(
        "both lists",
        [["http://legacy.example.com/v1/*"], ["GET http://*.example.com"]],
        "GET",
        "/v1/a",
        true,
      ),
      admission(
        "the first list alone",
        [["http://legacy.example.com/v1/*"], ["GET http://*.example.com"]],
        "PUT",
        "/v1/a",
        false,
      ),
      admission(
        "the second list alone",
        [["http://legacy.example.com/v1/*"], ["GET http://*.example.com"]],
        "GET",
        "/v2",
        false,
      ),
      admission("a list without entries", [[]], "GET", "/", false),
    ],
  };
}

function admission(
  name: string,
  lists: readonly (readonly string[])[] | null,
  method: string,
  path: string,
  admitted: boolean,
) {
  return { name, within: lists, method, url: `http://legacy.example.com${path}`, admitted };
}
