import { describe, expect, test } from "vitest";
import { isRelayError } from "../../protocol/errors.ts";
import { generateClientKey } from "../../protocol/keys.ts";
import { withLiveKeys } from "../../worker/client-keys.ts";
import { loadClient, parseClientRecord } from "../../worker/clients.ts";

const { publicJwk } = await generateClientKey();
const other = await generateClientKey("ES256");
const GOOD = { id: "shop", keys: [publicJwk], allow: ["https://api.bank.com"] };

function problems(changes: object): string {
  try {
    parseClientRecord({ ...GOOD, ...changes });
  } catch (error) {
    if (!isRelayError(error)) throw error;
    expect(error.code).toBe("request_invalid");
    return error.detail;
  }
  return expect.fail("it was taken");
}

describe("a client's record", () => {
  test.each([
    ["the least", {}],
    ["two keys of different kinds", { keys: [publicJwk, other.publicJwk] }],
    ["a pool", { pool: ["node-1"] }],
    ["no targets yet", { allow: [] }],
    ["a key that ends", { keys: [{ ...publicJwk, exp: 1_767_225_600 }] }],
    [
      "every kind of target",
      { allow: ["https://*", "http://a.test:8080/x/*", "GET https://*.b.test", "tcp://db.test:5432"] },
    ],
  ])("with %s is taken", (_what, changes) => {
    expect(parseClientRecord({ ...GOOD, ...changes })).toEqual({ ...GOOD, ...changes });
  });

  const { d: _d, ...secret } = { ...publicJwk, d: "s3cr3t-private-part" };
  test.each([
    ["an unknown member", { colour: {} }, /the record has unknown keys: colour/],
    ["no id", { id: undefined }, /id must be of type string/],
    ["an id with upper case", { id: "Shop" }, /id must be 1 to 63 characters/],
    ["an id of 64 characters", { id: "a".repeat(64) }, /id must be 1 to 63 characters/],
    ["no key", { keys: [] }, /keys must hold at least one key/],
    ["five keys", { keys: Array.from({ length: 5 }, () => publicJwk) }, /keys must hold at most 4 keys/],
    [
      "a private key",
      { keys: [{ ...secret, d: "s3cr3t-private-part" }] },
      /keys\.0 must be a public Ed25519 or P-256 JWK/,
    ],
    ["a symmetric key", { keys: [{ kty: "oct", k: "s3cr3t-private-part" }] }, /keys\.0 must be a public/],
    ["a key twice", { keys: [publicJwk, { ...publicJwk, exp: 1 }] }, /keys must not hold a key twice/],
    [
      "a key with an end that is text",
      { keys: [{ ...publicJwk, exp: "1" }] },
      /keys\.0\.exp must be of type/,
    ],
    ["an RSA key", { keys: [{ kty: "RSA", n: "AQAB", e: "AQAB" }] }, /keys\.0 must be a public/],
    ["a key that is text", { keys: ["key"] }, /keys\.0 must be of type/],
    [
      "a target that is none",
      { allow: ["https://ok.test", "bank.com"] },
      /allow\.1 .*"bank\.com" is not of the form/,
    ],
    ["a wildcard for tcp", { allow: ["tcp://*:5432"] }, /allow\.0 .*opens every host by tcp/],
    [
      "201 targets",
      { allow: Array.from({ length: 201 }, (_, i) => `https://h${i}.test`) },
      /allow must hold at most 200 targets/,
    ],
    ["an empty pool", { pool: [] }, /pool must name at least one node/],
  ] as const)("with %s is refused", (_what, changes, told) => {
    const detail = problems(changes);
    expect(detail).toMatch(told);
    expect(detail).not.toContain("s3cr3t");
  });

  test("is told all its problems at once", () => {
    expect(problems({ id: "", keys: [], allow: ["x", "y"], pool: [], more: 1 }).split("; ")).toHaveLength(6);
  });

  test.each([null, [], "x", 7, undefined])("%j is none", (value) => {
    expect(() => parseClientRecord(value)).toThrow(/request_invalid/);
  });
});

describe("a loaded client", () => {
  test("has its keys bound to their algorithms and its targets parsed", async () => {
    const client = await loadClient({ ...GOOD, keys: [publicJwk, other.publicJwk], pool: ["node-2"] });
    expect(client.keys.map(({ alg }) => alg)).toEqual(["Ed25519", "ES256"]);
    expect(client.allow).toMatchObject([{ scheme: "https", host: "api.bank.com", port: 443 }]);
    expect([...client.pool!]).toEqual(["node-2"]);
  });

  test("has the keys alone that are good at the moment", async () => {
    const keys = [{ ...publicJwk, exp: 100 }, other.publicJwk];
    const client = await loadClient({ ...GOOD, keys });
    expect(withLiveKeys(client, 99_999)).toBe(client);
    expect(withLiveKeys(client, 100_000)).toMatchObject({
      keys: [client.keys[1]],
      thumbprints: [client.thumbprints[1]],
      keyEnds: [Infinity],
    });
    const ending = await loadClient({ ...GOOD, keys: keys.slice(0, 1) });
    expect(withLiveKeys(ending, 100_000).keys).toEqual([]);
  });

  test.each([
    ["a target", { allow: ["https://a.test", "what"] }],
    ["a key", { keys: [publicJwk, { kty: "OKP", crv: "Ed25519", x: "AA" }] }],
  ])("that has %s which can't be read is none at all", async (_what, changes) => {
    await expect(loadClient({ ...GOOD, ...changes })).rejects.toThrow(/request_invalid/);
  });
});
