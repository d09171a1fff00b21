import { describe, expect, test } from "vitest";
import { generateClientKey, importPrivateKey, importPublicKey } from "../../protocol/keys.ts";
import { ADMIN_TOKEN_MAX_SECONDS, CONSUMED_MEMORY_SECONDS } from "../../protocol/limits.ts";
import {
  type AdminClaims,
  checkAdminClaims,
  checkRequestClaims,
  isFraming,
  type RequestClaims,
} from "../../protocol/claims.ts";
import {
  digestOf,
  newRequestId,
  readBearer,
  REQUEST_ID,
  signToken,
  TOKEN_TYPES,
  verifySignature,
} from "../../protocol/tokens.ts";
import { readVectors } from "../vectors/read.ts";
import { messageOf, outcomeOf } from "./outcome.ts";

interface Key {
  readonly alg: string;
  readonly publicJwk: JsonWebKey;
  readonly privateKey: string;
}

const vectors = readVectors("request-tokens.json") as {
  edge: string;
  now: number;
  keys: Record<string, Key>;
  cases: {
    name: string;
    authorization: string | null;
    keys?: string[];
    now?: number;
    expect?: RequestClaims;
    error?: string;
  }[];
};

function keyNamed(name: string): Key {
  const key = vectors.keys[name];
  if (key === undefined) throw new Error(`the vectors name no key ${name}`);
  return key;
}

/** What the edge does with a request token before it looks at targets and replays. */
async function accept(
  authorization: string | null,
  keys: readonly string[],
  now: number,
): Promise<RequestClaims> {
  const unverified = readBearer("request", authorization);
  const claims = checkRequestClaims(unverified.claims, vectors.edge, now);
  const registered = await Promise.all(keys.map((name) => importPublicKey(keyNamed(name).publicJwk)));
  await verifySignature(unverified, registered);
  return claims;
}

describe("request tokens", () => {
  test.for(vectors.cases)("$name", async (vector) => {
    const got = await outcomeOf(() =>
      accept(vector.authorization, vector.keys ?? ["ed25519"], vector.now ?? vectors.now),
    );
    expect(got).toEqual(vector.expect === undefined ? { error: vector.error } : { value: vector.expect });
  });

  test("the file's private keys, as HOLDFAST_URL carries them, make tokens that its public keys verify", async () => {
    const claims = vectors.cases.find((vector) => vector.expect !== undefined)!.expect!;
    for (const [name, { alg, privateKey }] of Object.entries(vectors.keys)) {
      const key = await importPrivateKey(privateKey);
      expect(key.alg).toBe(alg);
      const token = await signToken("request", claims, key);
      expect(await accept(`Bearer ${token}`, [name], vectors.now)).toEqual(claims);
    }
  });

  test("signing with Ed25519 is deterministic, so another implementation's bytes can be compared", async () => {
    const vector = vectors.cases.find((one) => one.name === "every claim there is")!;
    const token = await signToken(
      "request",
      vector.expect!,
      await importPrivateKey(keyNamed("ed25519").privateKey),
    );
    expect(`Bearer ${token}`).toBe(vector.authorization);
  });

  test("no refusal quotes the token", async () => {
    let refusals = 0;
    for (const { authorization, keys, now } of vectors.cases) {
      const refusal = await messageOf(() => accept(authorization, keys ?? ["ed25519"], now ?? vectors.now));
      const proof = authorization?.split(".").at(-1) ?? "";
      if (refusal === undefined || proof.length < 20) continue;
      expect(refusal).not.toContain(proof);
      refusals++;
    }
    expect(refusals).toBeGreaterThan(100);
  });
});

describe("administrative tokens", async () => {
  const { publicJwk, privateKey } = await generateClientKey();
  const key = await importPrivateKey(privateKey);
  const claims: AdminClaims = {
    iss: "operator",
    aud: vectors.edge,
    act: "admin",
    iat: vectors.now,
    exp: vectors.now + ADMIN_TOKEN_MAX_SECONDS,
    jti: newRequestId(),
    htm: "PUT",
    url: `${vectors.edge}/admin/clients/acme`,
  };
  const judge = async (
    changes: Partial<Record<keyof AdminClaims, unknown>>,
    kind: Exclude<keyof typeof TOKEN_TYPES, "grant"> = "admin",
  ) => {
    const token = await signToken(kind, { ...claims, ...changes }, key);
    return outcomeOf(async () => {
      const unverified = readBearer("admin", `Bearer ${token}`);
      const checked = checkAdminClaims(unverified.claims, vectors.edge, vectors.now);
      await verifySignature(unverified, [await importPublicKey(publicJwk)]);
      return checked;
    });
  };

  test("a good one is taken", async () => expect(await judge({})).toEqual({ value: claims }));
  test.for([
    [{ act: "fetch" }, "token_act"],
    [{ aud: "https://other.example.com" }, "token_audience"],
    [{ exp: vectors.now + ADMIN_TOKEN_MAX_SECONDS + 1 }, "token_lifetime"],
    [{ iat: vectors.now - 60, exp: vectors.now - 5 }, "token_expired"],
    [{ iat: vectors.now + 6 }, "token_premature"],
    [{ jti: "x" }, "token_malformed"],
    [{ iss: 1 }, "token_malformed"],
  ] as const)("%j is refused: %s", async ([changes, error]) =>
    expect(await judge(changes)).toEqual({ error }),
  );
  test("a request token is none", async () =>
    expect(await judge({}, "request")).toEqual({ error: "token_type" }));
  test("an administrative token opens no fetch", async () => {
    const unverified = readBearer("admin", `Bearer ${await signToken("admin", claims, key)}`);
    expect(() => checkRequestClaims(unverified.claims, vectors.edge, vectors.now)).toThrow("token_act");
  });
});

describe("small parts", () => {
  test("every kind has a typ of its own", () => {
    expect(new Set(Object.values(TOKEN_TYPES)).size).toBe(Object.keys(TOKEN_TYPES).length);
  });

  test("request ids are well formed and differ", () => {
    const ids = Array.from({ length: 1_000 }, newRequestId);
    expect(ids.every((id) => REQUEST_ID.test(id))).toBe(true);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test("a digest is the RFC 9530 member", async () => {
    expect(await digestOf(new Uint8Array())).toBe("sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:");
    expect(await digestOf(new TextEncoder().encode('{"hello": "world"}'))).toBe(
      "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:",
    );
  });

  test.for([
    ["none", true],
    ["chunked", true],
    [0, true],
    [Number.MAX_SAFE_INTEGER, true],
    [-1, false],
    [0.5, false],
    [Number.NaN, false],
    ["0", false],
    [undefined, false],
  ] as const)("framing %j: %s", ([value, valid]) => expect(isFraming(value)).toBe(valid));

  test("a consumed id is remembered until no edge and no node can take it again", () => {
    // Leeways: the token early at the edge, the grant early at the node, the token late, the grant late.
    expect(CONSUMED_MEMORY_SECONDS).toBe(60 + 30 + 4 * 5);
  });
});
