import { describe, expect, test } from "vitest";
import { isRelayError } from "../../protocol/errors.ts";
import { generateClientKey } from "../../protocol/keys.ts";
import { parseEdgeConfig } from "../../worker/config.ts";

const SECRET = "s3cr3tKeyMaterialThatNoLogMayEverHold0123456789";
const { publicJwk } = await generateClientKey();
const NODE = {
  id: "node-1",
  url: "https://node-1.example.com:8443",
  region: "fra",
  key: { kty: "OKP", crv: "Ed25519", x: publicJwk.x },
  addresses: [{ address: "203.0.113.10", since: "2026-11-22" }],
};
const GOOD = {
  EDGE_ORIGIN: "https://edge.example.com",
  NODES: [NODE],
  GRANT_MASTER_KEY: Buffer.alloc(32, 7).toString("base64url"),
  EDGE_SIGNING_KEY: JSON.stringify({ kty: "OKP", crv: "Ed25519", d: SECRET, x: publicJwk.x }),
  OPERATOR_KEYS: { keys: [{ ...publicJwk, kid: "operator" }] },
};

/** The problems that a configuration is refused for. */
function problems(changes: object): string[] {
  try {
    parseEdgeConfig({ ...GOOD, ...changes });
  } catch (error) {
    if (!isRelayError(error)) throw error;
    expect(error.code).toBe("edge_misconfigured");
    expect(error.message).not.toContain(SECRET.slice(0, 12));
    return error.detail.split("; ");
  }
  return expect.fail("it was taken");
}

const node = (changes: object) => ({ NODES: [{ ...NODE, ...changes }] });
const regions = (fra: object) => ({ REGIONS: { fra } });
const operators = (...keys: object[]) => ({ OPERATOR_KEYS: { keys } });

describe("an edge's configuration", () => {
  test("is taken from objects and from text alike", () => {
    const parsed = parseEdgeConfig(GOOD);
    expect(parsed).toMatchObject({
      origin: GOOD.EDGE_ORIGIN,
      nodes: [NODE],
      grantMasterKey: new Uint8Array(32).fill(7),
    });
    expect(parsed.operatorKeys.get("operator")).toMatchObject(publicJwk);
    const text = {
      ...GOOD,
      NODES: JSON.stringify(GOOD.NODES),
      OPERATOR_KEYS: JSON.stringify(GOOD.OPERATOR_KEYS),
    };
    expect(parseEdgeConfig(text)).toEqual(parsed);
  });

  test.each(["http://localhost:8787", "http://127.0.0.1:8787", "http://[::1]:8787"])(
    "may have the loopback origin %s",
    (origin) => {
      expect(parseEdgeConfig({ ...GOOD, EDGE_ORIGIN: origin }).origin).toBe(origin);
    },
  );

  test("may tell where regions are, in which it is, and who tells it of the caller", () => {
    const REGIONS = {
      fra: { latitude: 50.1, longitude: 8.7 },
      syd: { latitude: -90, longitude: 180 },
    };
    const optional = { REGIONS, EDGE_REGION: "fra", CLIENT_ADDRESS_HEADER: "X-Client-Address" };
    const parsed = parseEdgeConfig({ ...GOOD, ...optional });
    expect(parsed).toMatchObject({ region: "fra", clientAddressHeader: "x-client-address" });
    expect([...parsed.regions]).toEqual(Object.entries(REGIONS));
    expect(parseEdgeConfig({ ...GOOD, ...optional, REGIONS: JSON.stringify(REGIONS) })).toEqual(parsed);
    const { region, regions: places, clientAddressHeader } = parseEdgeConfig(GOOD);
    expect([region, places.size, clientAddressHeader]).toEqual([undefined, 0, undefined]);
  });

  test("may tell where its nodes' proxies are", () => {
    const PROXY_URLS = [
      "https://proxy.example.com:9443",
      "http://proxy.example.com",
      "socks5h://proxy.example.com:1080",
      "https://[2001:db8::1]:9443",
      "https://203.0.113.10",
    ];
    expect(parseEdgeConfig({ ...GOOD, PROXY_URLS }).proxyUrls).toEqual(PROXY_URLS);
    const text = { ...GOOD, PROXY_URLS: JSON.stringify(PROXY_URLS) };
    expect(parseEdgeConfig(text).proxyUrls).toEqual(PROXY_URLS);
    expect(parseEdgeConfig(GOOD).proxyUrls).toEqual([]);
  });

  test.each([
    "socks5://proxy.example.com:1080",
    "ftp://proxy.example.com",
    "proxy.example.com:9443",
    "https://",
    "https://proxy.example.com/",
    "https://proxy.example.com/path",
    "https://proxy.example.com?a",
    "https://proxy.example.com#a",
    "https://proxy.example.com:0",
    "https://proxy.example.com:65536",
    "socks5h://proxy.example.com:",
    "https://proxy.example.com.",
    "http://0x7f.1:9293",
    "socks5h://proxy_example com:1080",
    "",
  ])("with the proxy URL %j is refused, quoting it", (url) => {
    const [problem, ...more] = problems({ PROXY_URLS: ["https://proxy.example.com:9443", url] });
    expect(more).toEqual([]);
    expect(problem).toMatch(/^PROXY_URLS\.1 must be an https, http or socks5h URL/);
    expect(problem).toContain(`(is ${JSON.stringify(url)})`);
  });

  test.each([
    [{ PROXY_URLS: [`https://app:${SECRET}@proxy.example.com`] }, /^PROXY_URLS\.0 .*"https:\/\/…@proxy/],
    [{ PROXY_URLS: [`https://app:"@${SECRET}@proxy.example.com`] }, /^PROXY_URLS\.0 .*"https:\/\/…@proxy/],
    [{ EDGE_ORIGIN: `https://app:${SECRET}@edge.example.com` }, /^EDGE_ORIGIN .*"https:\/\/…@edge/],
    [{ NODES: [{ ...NODE, url: `https://app:${SECRET}@node` }] }, /^NODES\.0\.url .*"https:\/\/…@node/],
  ])("quotes no credentials in a URL", (changes, told) => {
    const [problem] = problems(changes);
    expect(problem).toMatch(told);
    expect(problem).not.toContain(SECRET);
  });

  const RULES: readonly (readonly [what: string, changes: object, told: RegExp])[] = [
    [
      "an origin over plain http",
      { EDGE_ORIGIN: "http://edge.example.com" },
      /^EDGE_ORIGIN must be an https origin.*http:\/\/edge/,
    ],
    [
      "an origin that only begins like loopback",
      { EDGE_ORIGIN: "http://127.0.0.1.evil.com" },
      /^EDGE_ORIGIN must be/,
    ],
    ["an origin with a path", { EDGE_ORIGIN: "https://edge.example.com/" }, /^EDGE_ORIGIN must be/],
    ["no origin", { EDGE_ORIGIN: undefined }, /^EDGE_ORIGIN is not set$/],
    ["no nodes", { NODES: [] }, /^NODES must list at least one node/],
    ["nodes that are no JSON", { NODES: "[" }, /^NODES is not valid JSON/],
    ["nodes that are an object", { NODES: {} }, /^NODES /],
    ["a node with another key", node({ adresses: [] }), /^NODES\.0 has unknown keys: adresses/],
    ["a node with a bad id", node({ id: "Node 1" }), /^NODES\.0\.id must be 1 to 63 characters.*Node 1/],
    [
      "a node over plain http",
      node({ url: "http://node-1.example.com" }),
      /^NODES\.0\.url must be an https origin/,
    ],
    ["a node without addresses", node({ addresses: [] }), /^NODES\.0\.addresses must list at least one/],
    [
      "a node whose address is a name",
      node({ addresses: [{ address: "egress.example.com", since: "2026-11-22" }] }),
      /^NODES\.0\.addresses\.0\.address is no IP address/,
    ],
    ["a place that is no place", regions({ latitude: 91, longitude: 0 }), /^REGIONS\.fra\.latitude .*91/],
    ["a place beyond the map", regions({ latitude: 0, longitude: -181 }), /^REGIONS\.fra\.longitude .*-181/],
    ["half a place", regions({ latitude: 50.1 }), /^REGIONS\.fra\.longitude/],
    ["a place in text", regions({ latitude: "50.1", longitude: "8.7" }), /^REGIONS\.fra\.latitude/],
    [
      "a place with more",
      regions({ latitude: 50.1, longitude: 8.7, name: "Frankfurt" }),
      /^REGIONS\.fra has unknown keys: name/,
    ],
    ["regions that are no JSON", { REGIONS: "{" }, /^REGIONS is not valid JSON/],
    ["regions that are a list", { REGIONS: [] }, /^REGIONS /],
    ["a region that is no text", { EDGE_REGION: 7 }, /^EDGE_REGION .*7/],
    [
      "a field that is none",
      { CLIENT_ADDRESS_HEADER: "X Forwarded" },
      /^CLIENT_ADDRESS_HEADER must be a field's name.*X Forwarded/,
    ],
    [
      "proxy URLs that are no list",
      { PROXY_URLS: "https://proxy.example.com" },
      /^PROXY_URLS is not valid JSON/,
    ],
    ["a proxy URL twice", { PROXY_URLS: ["http://a", "http://a"] }, /^PROXY_URLS holds one URL twice/],
    ["no field", { CLIENT_ADDRESS_HEADER: "" }, /^CLIENT_ADDRESS_HEADER must be a field's name/],
    ["two nodes of one id", { NODES: [NODE, NODE] }, /^NODES holds one id twice/],
    [
      "a short master key",
      { GRANT_MASTER_KEY: SECRET.slice(0, 20) },
      /^GRANT_MASTER_KEY must be at least 32 random bytes/,
    ],
    ["a master key in another base64", { GRANT_MASTER_KEY: `${SECRET}+/=` }, /^GRANT_MASTER_KEY must be/],
    [
      "a master key of a length that base64 cannot have",
      { GRANT_MASTER_KEY: "A".repeat(45) },
      /^GRANT_MASTER_KEY must be/,
    ],
    ["no master key", { GRANT_MASTER_KEY: undefined }, /^GRANT_MASTER_KEY is not set$/],
    ["a public signing key", { EDGE_SIGNING_KEY: { ...publicJwk } }, /^EDGE_SIGNING_KEY/],
    ["a signing key that is no JSON", { EDGE_SIGNING_KEY: SECRET }, /^EDGE_SIGNING_KEY is not valid JSON$/],
    [
      "a signing key of another kind",
      { EDGE_SIGNING_KEY: { kty: "EC", crv: "P-256", d: SECRET, x: "x" } },
      /^EDGE_SIGNING_KEY\.kty/,
    ],
    [
      "an operator's private key",
      operators({ crv: "Ed25519", d: SECRET, x: publicJwk.x, kty: "OKP", kid: "a" }),
      /^OPERATOR_KEYS\.keys\.0 must be public/,
    ],
    [
      "an operator's private key as text",
      { OPERATOR_KEYS: `{"d":"${SECRET}"` },
      /^OPERATOR_KEYS is not valid JSON/,
    ],
    [
      "an operator's symmetric key",
      operators({ kty: "oct", k: SECRET, kid: "a" }),
      /^OPERATOR_KEYS\.keys\.0 must be public/,
    ],
    ["an operator's key without an id", operators({ ...publicJwk }), /^OPERATOR_KEYS\.keys\.0\.kid/],
    [
      "two operators of one id",
      operators({ ...publicJwk, kid: "a" }, { ...publicJwk, kid: "a" }),
      /^OPERATOR_KEYS\.keys holds one kid twice/,
    ],
  ];
  test.each(RULES)("with %s is refused", (_what, changes, told) => {
    expect(problems(changes)).toContainEqual(expect.stringMatching(told));
  });

  test("is told all its problems at once", () => {
    const nothing = Object.fromEntries(Object.keys(GOOD).map((name) => [name, undefined]));
    expect(problems(nothing)).toEqual(Object.keys(GOOD).map((name) => `${name} is not set`));
    expect(
      problems({
        EDGE_ORIGIN: "x",
        GRANT_MASTER_KEY: "x",
        ...node({ id: "X", url: "x", addresses: [{ address: "x", since: "2026-11-22" }] }),
      }),
    ).toHaveLength(5);
  });
});
