import { beforeAll, describe, expect, test } from "vitest";
import { type BoundKey, generateClientKey, importPrivateKey, importPublicKey } from "../../protocol/keys.ts";
import { NODE_MESSAGE_MAX_SECONDS } from "../../protocol/limits.ts";
import { signNodeMessage, verifyNodeMessage } from "../../protocol/node-messages.ts";
import { digestOf, signToken } from "../../protocol/tokens.ts";
import { outcomeOf } from "./outcome.ts";

const NOW = 1_767_225_600;
const BODY = new TextEncoder().encode("some bytes");

let key: BoundKey;
let strangers: BoundKey;
let peers: ReadonlyMap<string, BoundKey>;

beforeAll(async () => {
  const [own, other] = [await generateClientKey(), await generateClientKey()];
  key = await importPrivateKey(own.privateKey);
  strangers = await importPrivateKey(other.privateKey);
  peers = new Map([
    ["fra-2", await importPublicKey(own.publicJwk)],
    ["fra-3", await importPublicKey(other.publicJwk)],
  ]);
});

const message = { from: "fra-2", to: "fra-1", act: "consumed", body: BODY } as const;
const verify = (token: string, changes: object = {}) =>
  verifyNodeMessage(`Bearer ${token}`, {
    audience: "fra-1",
    nodes: peers,
    act: "consumed",
    now: NOW,
    ...changes,
  });

describe("a message between nodes", () => {
  test("is proven by its sender's key, and names its body", async () => {
    const claims = await verify(await signNodeMessage(message, key, NOW));
    expect(claims).toMatchObject({
      iss: "fra-2",
      aud: "fra-1",
      act: "consumed",
      iat: NOW,
      exp: NOW + NODE_MESSAGE_MAX_SECONDS,
      digest: await digestOf(BODY),
    });
  });

  test("has an id of its own each time", async () => {
    const ids = await Promise.all(
      [1, 2, 3].map(async () => (await verify(await signNodeMessage(message, key, NOW))).jti),
    );
    expect(new Set(ids).size).toBe(3);
  });

  test.each([
    ["at another node", { audience: "fra-9" }, "token_audience"],
    ["for another purpose", { act: "consumed-read" }, "token_act"],
    ["where nobody is known", { nodes: new Map() }, "token_signature"],
    ["as late as is allowed", { now: NOW + 34 }, undefined],
    ["too late", { now: NOW + 35 }, "token_expired"],
    ["as early as is allowed", { now: NOW - 5 }, undefined],
    ["too early", { now: NOW - 6 }, "token_premature"],
  ])("judged %s", async (_what, changes, error) => {
    const got = await outcomeOf(async () => verify(await signNodeMessage(message, key, NOW), changes));
    expect(got).toEqual(error === undefined ? { value: expect.anything() as unknown } : { error });
  });

  test("is not its sender's when another peer has signed it", async () => {
    const token = await signNodeMessage(message, strangers, NOW);
    expect(await outcomeOf(() => verify(token))).toEqual({ error: "token_signature" });
  });

  const CLAIMS = { iss: "fra-2", aud: "fra-1", act: "consumed", iat: NOW, exp: NOW + 30 };
  test.each([
    ["no jti", { digest: `sha-256=:${"A".repeat(43)}=:` }, "token_malformed"],
    ["no digest", { jti: "AAECAwQFBgcICQoLDA0ODw" }, "token_malformed"],
    [
      "a life of 31 s",
      { exp: NOW + 31, jti: "AAECAwQFBgcICQoLDA0ODw", digest: `sha-256=:${"A".repeat(43)}=:` },
      "token_lifetime",
    ],
    [
      "no exp",
      { exp: undefined, jti: "AAECAwQFBgcICQoLDA0ODw", digest: `sha-256=:${"A".repeat(43)}=:` },
      "token_malformed",
    ],
  ])("with %s is refused", async (_what, changes, error) => {
    const token = await signToken("node", { ...CLAIMS, ...changes }, key);
    expect(await outcomeOf(() => verify(token))).toEqual({ error });
  });

  test("is no token of another kind, nor nothing", async () => {
    const token = await signToken("receipt", CLAIMS, key);
    expect(await outcomeOf(() => verify(token))).toEqual({ error: "token_type" });
    expect(
      await outcomeOf(() =>
        verifyNodeMessage(undefined, { audience: "fra-1", nodes: peers, act: "consumed", now: NOW }),
      ),
    ).toEqual({ error: "token_missing" });
  });
});
