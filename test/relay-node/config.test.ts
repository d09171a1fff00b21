import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createCa, issueCertificate } from "../../dev/certificates.ts";
import { isRelayError } from "../../protocol/errors.ts";
import { type NodeConfig, readNodeConfig } from "../../relay-node/config.ts";

const MAIN = resolve(import.meta.dirname, "../../relay-node/main.ts");
const KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

const SIGNING = {
  kty: "OKP",
  crv: "Ed25519",
  x: "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg",
  d: KEY,
};
const PEER = {
  id: "fra-2",
  url: "https://fra-2.example.com",
  key: { kty: "OKP", crv: "Ed25519", x: SIGNING.x },
  addresses: ["203.0.113.20"],
};

let dir = "";
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "holdfast-config-"));
  for (const [name, text] of Object.entries({ "cert.pem": "", "key.pem": "", "grant.key": `${KEY}\n` })) {
    writeFileSync(join(dir, name), text);
  }
  writeFileSync(join(dir, "signing.jwk"), JSON.stringify(SIGNING));
});
afterEach(() => rmSync(dir, { recursive: true }));

const LEAST = {
  id: "fra-1",
  edge: "https://edge.example.com",
  listen: { host: "127.0.0.1", port: 8443, cert: "cert.pem", key: "key.pem" },
  egress: { ipv4: { bind: "10.0.0.5", public: "203.0.113.10" } },
  signingKeyFile: "signing.jwk",
  state: "state",
  grantKeyFiles: ["grant.key"],
};

function write(config: unknown): string {
  const file = join(dir, "node.json");
  writeFileSync(file, typeof config === "string" ? config : JSON.stringify(config));
  return file;
}

function read(config: unknown): NodeConfig {
  return readNodeConfig(write(config));
}

/** The detail of the refusal: all problems, one a line. */
function problems(config: unknown): string[] {
  try {
    read(config);
  } catch (error) {
    if (!isRelayError(error)) throw error;
    expect(error.detail).toContain(join(dir, "node.json"));
    return error.detail
      .split("\n")
      .slice(1)
      .map((line) => line.trim());
  }
  return expect.fail("it was taken");
}

describe("a configuration", () => {
  test("that says the least is completed, its paths made absolute", () => {
    expect(read(LEAST)).toEqual({
      ...LEAST,
      listen: { ...LEAST.listen, cert: join(dir, "cert.pem"), key: join(dir, "key.pem") },
      grantKeyFiles: undefined,
      signingKeyFile: undefined,
      signingKey: SIGNING,
      witnesses: [],
      proofSeconds: 60,
      peers: [],
      grantKeys: [new Uint8Array(32).map((_, i) => i)],
      state: join(dir, "state"),
      metrics: { host: "127.0.0.1", port: 0 },
      open: [],
      logLevel: "info",
      drainSeconds: 30,
    });
  });

  const RULES: readonly (readonly [what: string, change: object, told: RegExp])[] = [
    ["an unknown key", { opne: [] }, /"?opne"?/],
    ["an unknown key inside", { listen: { ...LEAST.listen, prot: 1 } }, /listen.*"?prot"?/],
    ["an id with upper case", { id: "FRA-1" }, /^id: must be .*\(is "FRA-1"\)/],
    ["no id", { id: undefined }, /^id: /],
    [
      "an edge with a path",
      { edge: "https://edge.example.com/x" },
      /^edge: must be an origin.*edge\.example\.com\/x/,
    ],
    ["an edge with credentials", { edge: "https://u:p@edge.example.com" }, /^edge: /],
    [
      "a host name to listen on",
      { listen: { ...LEAST.listen, host: "localhost" } },
      /^listen\.host.*localhost/,
    ],
    ["a port too large", { listen: { ...LEAST.listen, port: 70_000 } }, /^listen\.port.*70000/],
    ["a port as text", { listen: { ...LEAST.listen, port: "8443" } }, /^listen\.port.*"8443"/],
    [
      "metrics for the world",
      { metrics: { host: "0.0.0.0", port: 9100 } },
      /^metrics\.host: must be a loopback address.*0\.0\.0\.0/,
    ],
    [
      "metrics on a name",
      { metrics: { host: "127.0.0.1.evil.com", port: 9100 } },
      /^metrics\.host: must be a loopback address/,
    ],
    ["a peer without TLS", { peers: [{ ...PEER, url: "http://fra-2.example.com" }] }, /^peers\.0\.url: must/],
    [
      "a peer with a path",
      { peers: [{ ...PEER, url: `${PEER.url}/x` }] },
      /^peers\.0\.url: must be an origin/,
    ],
    ["a peer without a key", { peers: [{ ...PEER, key: undefined }] }, /^peers\.0\.key/],
    [
      "a peer's key of another kind",
      { peers: [{ ...PEER, key: { ...PEER.key, kty: "EC" } }] },
      /^peers\.0\.key/,
    ],
    ["a peer twice", { peers: [PEER, PEER] }, /^peers: must name each node once/],
    ["no egress", { egress: {} }, /^egress: must have ipv4, ipv6 or both/],
    [
      "an egress of the other family",
      { egress: { ipv4: { bind: "::1", public: "203.0.113.1" } } },
      /^egress\.ipv4\.bind.*::1/,
    ],
    [
      "an egress that is a name",
      { egress: { ipv4: { bind: "10.0.0.5", public: "egress.example.com" } } },
      /^egress\.ipv4\.public/,
    ],
    [
      "a range with bits beyond its prefix",
      { open: ["10.1.2.3/8"] },
      /^open\.0: "10\.1\.2\.3\/8" is no address range/,
    ],
    ["a range that is an address", { open: ["10.0.0.1"] }, /^open\.0: /],
    ["a range in another notation", { open: ["0x0a000000/8"] }, /^open\.0: /],
    ["no grant key", { grantKeyFiles: [] }, /^grantKeyFiles: must name at least one file/],
    [
      "three grant keys",
      { grantKeyFiles: ["grant.key", "grant.key", "grant.key"] },
      /^grantKeyFiles: must name at most two/,
    ],
    ["a log level of its own", { logLevel: "loud" }, /^logLevel.*"loud"/],
    ["a drain of an hour", { drainSeconds: 3_600 }, /^drainSeconds.*3600/],
    ["no name server in the list", { nameServers: [] }, /^nameServers: /],
    [
      "a certificate file that is missing",
      { listen: { ...LEAST.listen, cert: "gone.pem" } },
      /^listen\.cert: ENOENT.*gone\.pem/,
    ],
    [
      "a key file that is missing",
      { listen: { ...LEAST.listen, key: "gone.pem" } },
      /^listen\.key: ENOENT.*gone\.pem/,
    ],
    ["an authority that is missing", { targetCa: "gone.pem" }, /^targetCa: ENOENT.*gone\.pem/],
    [
      "a grant key that is missing",
      { grantKeyFiles: ["gone.key"] },
      /^grantKeyFiles: a file can't be read \(ENOENT\)$/,
    ],
  ];
  test.each(RULES)("with %s is refused", (_what, change, told) => {
    expect(problems({ ...LEAST, ...change })).toEqual([expect.stringMatching(told)]);
  });

  test("is told all its problems at once", () => {
    const listen = { host: "nowhere", port: -1, cert: 1, key: "key.pem" };
    const told = problems({ ...LEAST, id: "", edge: "edge", listen, open: ["x"], extra: 1 }).join("\n");
    for (const where of ["id", "edge", "listen.host", "listen.port", "listen.cert", "open.0", "extra"]) {
      expect(told).toContain(where);
    }
    const files = {
      ...LEAST,
      listen: { ...LEAST.listen, cert: "a.pem", key: "b.pem" },
      grantKeyFiles: ["c.key", "d.key"],
    };
    expect(problems(files)).toHaveLength(4);
    expect(problems({ ...files, id: "X" })).toHaveLength(5);
  });

  test("whose signing key is no private key, or no pair, is refused without a word of it", () => {
    for (const jwk of [
      { ...SIGNING, x: KEY },
      { ...SIGNING, d: undefined },
      { ...SIGNING, crv: "X25519" },
    ]) {
      writeFileSync(join(dir, "signing.jwk"), JSON.stringify(jwk));
      expect(problems(LEAST)).toEqual(["signingKeyFile: the file does not hold a private Ed25519 JWK"]);
    }
  });

  test("never has a key quoted", () => {
    writeFileSync(join(dir, "short.key"), KEY.slice(1));
    const told = problems({ ...LEAST, grantKeyFiles: ["short.key"] });
    expect(told).toEqual(["grantKeyFiles: a file does not hold 32 bytes in base64url"]);
  });

  test.each([
    { what: "a public key alone", jwk: { ...SIGNING, d: undefined } },
    { what: "halves of two keys", jwk: { ...SIGNING, x: KEY } },
    { what: "another curve", jwk: { ...SIGNING, crv: "X25519" } },
    { what: "no JSON", jwk: undefined },
  ])("takes for its signing key not $what, and quotes none of it", ({ jwk }) => {
    writeFileSync(join(dir, "signing.jwk"), JSON.stringify(jwk) ?? KEY);
    expect(problems(LEAST)).toEqual(["signingKeyFile: the file does not hold a private Ed25519 JWK"]);
  });

  test("has an empty key file for none", () => {
    writeFileSync(join(dir, "empty.key"), "");
    expect(problems({ ...LEAST, grantKeyFiles: ["empty.key"] })).toHaveLength(1);
  });

  test.each(["", "{", "[]", "null", '"x"', "7"])("%j is none", (text) => {
    expect(() => readNodeConfig(write(text))).toThrow(/request_invalid/);
  });
});

describe("the process", () => {
  const run = (...args: string[]) =>
    spawnSync(process.execPath, [MAIN, ...args], { encoding: "utf8", timeout: 15_000 });

  test("ends with 78 and names every problem", () => {
    const { status, stderr } = run(
      "--config",
      write({ ...LEAST, id: "X", edge: "nowhere", drainSeconds: -1 }),
    );
    expect(status).toBe(78);
    for (const told of ["id: ", '"X"', "edge: ", '"nowhere"', "drainSeconds: ", "-1"]) {
      expect(stderr).toContain(told);
    }
    // A stack would tell an operator nothing.
    expect(stderr).not.toContain("    at ");
  });

  test("ends with 78 where there is no configuration", () => {
    expect(run()).toMatchObject({ status: 78, stderr: expect.stringContaining("--config <file>") as string });
    expect(run("--config", join(dir, "gone.json"))).toMatchObject({
      status: 78,
      stderr: expect.stringContaining("gone.json") as string,
    });
  });

  test("ends with 1 and names the port that is in use, of its listener and of its metrics", async () => {
    const { cert, key } = await issueCertificate(await createCa("Config test CA"), { dns: ["localhost"] });
    writeFileSync(join(dir, "cert.pem"), cert);
    writeFileSync(join(dir, "key.pem"), key);
    const server = createServer();
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    const { port } = server.address() as { port: number };
    const egress = { ipv4: { bind: "127.0.0.1", public: "127.0.0.1" } };
    const taken = [
      { listen: { ...LEAST.listen, port } },
      { listen: { ...LEAST.listen, port: 0 }, metrics: { host: "127.0.0.1", port } },
    ];
    for (const change of taken) {
      const { status, stderr } = run("--config", write({ ...LEAST, egress, ...change }));
      expect([status, stderr.trim()]).toEqual([
        1,
        `holdfast node: port ${port} on 127.0.0.1 is in use: stop what listens there, or set another port`,
      ]);
    }
    await new Promise((closed) => server.close(closed));
  });

  test("ends with 1 where certificate and key are no pair", async () => {
    const ca = await createCa("Config test CA");
    writeFileSync(join(dir, "cert.pem"), (await issueCertificate(ca, { dns: ["a.test"] })).cert);
    writeFileSync(join(dir, "key.pem"), (await issueCertificate(ca, { dns: ["b.test"] })).key);
    const { status, stderr } = run("--config", write({ ...LEAST, listen: { ...LEAST.listen, port: 0 } }));
    expect(status).toBe(1);
    expect(stderr).toMatch(/^holdfast node: .*(key|certificate)/i);
  });
});
