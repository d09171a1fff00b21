import type { JWK } from "jose";
import { beforeAll, describe, expect, test } from "vitest";
import { verifyEgressList } from "../../protocol/egress-list.ts";
import { type BoundKey, generateClientKey, importPrivateKey } from "../../protocol/keys.ts";
import { EGRESS_LIST_MAX_BYTES } from "../../protocol/limits.ts";
import { signToken, TOKEN_TYPES } from "../../protocol/tokens.ts";
import { compact, ed25519, privateKeyOf, unsigned } from "../support/compact-jws.ts";
import { outcomeOf } from "./outcome.ts";

const NOW = 1_800_000_000;
const ISSUER = "https://edge.example.com";
const ADDRESS = { address: "203.0.113.10", family: "ipv4", node: "node-1", since: "2026-11-22" };
const PLANNED = {
  change: "add",
  date: "2027-02-01",
  address: "2001:db8::7",
  family: "ipv6",
  node: "node-1",
  region: "fra",
};
const NODE = { id: "node-1", key: { kty: "OKP", crv: "Ed25519", x: "AA" } };
const LIST = {
  issuer: ISSUER,
  addresses: [ADDRESS],
  planned: [PLANNED],
  nodes: [NODE],
  iat: NOW,
  exp: NOW + 3_600,
};

let key: BoundKey;
let jwk: JWK;
let pair: Awaited<ReturnType<typeof generateClientKey>>;
beforeAll(async () => {
  pair = await generateClientKey();
  key = await importPrivateKey(pair.privateKey);
  jwk = { ...pair.publicJwk, kid: "edge-1" };
});

const sign = (changes: object = {}, kid: string | undefined = "edge-1") =>
  signToken("egress", { ...LIST, ...changes }, key, kid);
const verify = (jwt: string, keys: readonly JWK[] = [jwk], now = NOW) =>
  outcomeOf(() => verifyEgressList(jwt, { keys }, ISSUER, now));

describe("a signed list of addresses", () => {
  test("is taken from its edge", async () => {
    expect(await verify(await sign())).toEqual({ value: LIST });
  });

  test("may have members that are not known here, and be without a kid", async () => {
    expect(await verify(await sign({ more: 1 }, undefined))).toMatchObject({ value: { more: 1 } });
  });

  test("is proven by the key that it names, beside others and such as nobody knows here", async () => {
    const { publicJwk } = await generateClientKey();
    const others = [
      { ...publicJwk, kid: "edge-0" },
      { kty: "oct", k: "AA", kid: "edge-1" },
    ];
    expect(await verify(await sign(), [...others, jwk])).toEqual({ value: LIST });
    expect(await verify(await sign(), others)).toEqual({ error: "token_signature" });
    expect(await verify(await sign(), [{ ...jwk, kid: "edge-2" }])).toEqual({ error: "token_signature" });
    expect(await verify(await sign(), [])).toEqual({ error: "token_signature" });
  });

  test.each([
    { at: NOW + 3_604, outcome: { value: LIST } },
    { at: NOW + 3_605, outcome: { error: "token_expired" } },
    { at: NOW - 5, outcome: { value: LIST } },
    { at: NOW - 6, outcome: { error: "token_premature" } },
  ])("is judged by the clock: at $at", async ({ at, outcome }) => {
    expect(await verify(await sign(), [jwk], at)).toEqual(outcome);
  });

  test.each([
    { what: "another edge's", changes: { issuer: "https://other.example.com" }, error: "token_audience" },
    { what: "good for too long", changes: { exp: NOW + 3_601 }, error: "token_lifetime" },
    { what: "without times", changes: { exp: undefined }, error: "token_malformed" },
    { what: "without addresses", changes: { addresses: undefined }, error: "token_malformed" },
    { what: "with addresses that are no list", changes: { addresses: {} }, error: "token_malformed" },
    { what: "with an entry that is none", changes: { addresses: [null] }, error: "token_malformed" },
    {
      what: "with an address that is none",
      changes: { addresses: [{ ...ADDRESS, address: "\u001b[2J" }] },
      error: "token_malformed",
    },
    {
      what: "with no day",
      changes: { addresses: [{ ...ADDRESS, since: "soon" }] },
      error: "token_malformed",
    },
    {
      what: "with an unknown family",
      changes: { addresses: [{ ...ADDRESS, family: "ipv5" }] },
      error: "token_malformed",
    },
    {
      what: "with a node that tells more than its name",
      changes: { addresses: [{ ...ADDRESS, node: "a\nb" }] },
      error: "token_malformed",
    },
    {
      what: "with a region of controls",
      changes: { addresses: [{ ...ADDRESS, region: "\u001b[2J" }] },
      error: "token_malformed",
    },
    {
      what: "with an unknown change",
      changes: { planned: [{ ...PLANNED, change: "swap" }] },
      error: "token_malformed",
    },
    { what: "with nodes without keys", changes: { nodes: [{ id: "node-1" }] }, error: "token_malformed" },
  ])("is refused $what", async ({ changes, error }) => {
    expect(await verify(await sign(changes))).toEqual({ error });
  });

  test("is refused by another key, unsigned, changed, or as a token of another kind", async () => {
    const good = await sign();
    const [head, , signature] = good.split(".");
    const payload = Buffer.from(JSON.stringify({ ...LIST, addresses: [] })).toString("base64url");
    const header = { alg: "Ed25519", typ: TOKEN_TYPES.egress, kid: "edge-1" };
    const refused = [
      compact(header, LIST, ed25519(privateKeyOf(await generateClientKey()))),
      compact({ ...header, alg: "none" }, LIST, unsigned),
      `${head}.${payload}.${signature}`,
      await signToken("receipt", LIST, key, "edge-1"),
      compact({ ...header, b64: false, crit: ["b64"] }, LIST, ed25519(privateKeyOf(pair))),
      "no token",
      `${good} `,
      `${head}.${"A".repeat(EGRESS_LIST_MAX_BYTES)}.${signature}`,
    ];
    const outcomes = await Promise.all(refused.map((jwt) => verify(jwt)));
    expect(outcomes.map((one) => "error" in one && one.error)).toEqual([
      "token_signature",
      "token_malformed",
      "token_signature",
      "token_type",
      "token_malformed",
      "token_malformed",
      "token_malformed",
      "token_malformed",
    ]);
  });
});
