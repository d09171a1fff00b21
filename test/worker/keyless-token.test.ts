import { createHash } from "node:crypto";
import { calculateJwkThumbprint, compactVerify, decodeJwt, decodeProtectedHeader, importJWK } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CertificateClaims } from "../../protocol/certificates.ts";
import type { ErrorCode } from "../../protocol/errors.ts";
import { hmac, unsigned } from "../support/compact-jws.ts";
import {
  type ExchangeChanges,
  type KeylessStack,
  newWorkloadKey,
  seconds,
  startKeyless,
  type WorkloadKey,
} from "../support/keyless.ts";
import {
  type IssuerAlg,
  type OidcIssuer,
  PLATFORM_CLAIMS,
  type PlatformName,
  type TokenChanges,
} from "../support/oidc-issuer.ts";
import { expectRefusal } from "../support/refusal.ts";

/** Platform token in, certificate out, over real sockets. */

let stack: KeylessStack;
let issuer: OidcIssuer;
/** Trusted by another client alone. */
let foreign: OidcIssuer;
let key: WorkloadKey;

beforeAll(async () => {
  stack = await startKeyless();
  issuer = stack.issuers.issuer("/acme", stack.pool.edge, "RS256");
  foreign = stack.issuers.issuer("/foreign", stack.pool.edge);
  key = await newWorkloadKey();
  await stack.register("ci", {
    issuers: [{ issuer: issuer.url, claims: { repository: "acme/shop", sub: "repo:acme/shop:*" } }],
  });
  await stack.register("other", { issuers: [{ issuer: foreign.url, claims: { repository: "acme/shop" } }] });
});
afterAll(() => stack.stop());

const exchange = (token: string, changes: Partial<ExchangeChanges> = {}) =>
  stack.exchange({ client: "ci", token, key, ...changes });

describe("a certificate", () => {
  test("is given for a platform's token and a fresh key, by the edge's own signature", async () => {
    const before = seconds();
    const answer = await exchange(issuer.token("github"));
    expect([answer?.status, answer?.field("cache-control"), answer?.field("content-type")]).toEqual([
      200,
      "no-store",
      "application/json",
    ]);
    const { access_token: certificate, ...rest } = JSON.parse(answer!.body) as { access_token: string };
    expect(rest).toEqual({
      issued_token_type: "urn:ietf:params:oauth:token-type:jwt",
      token_type: "N_A",
      expires_in: expect.any(Number),
    });
    const { kid, x } = stack.pool.keys.edgeSigningKey;
    expect(decodeProtectedHeader(certificate)).toEqual({
      alg: "Ed25519",
      typ: "holdfast-certificate+jwt",
      kid,
    });
    await compactVerify(certificate, await importJWK({ kty: "OKP", crv: "Ed25519", x: x! }, "Ed25519"));
    const { iat, exp, jti, ...claims } = decodeJwt(certificate) as unknown as CertificateClaims;
    expect(claims).toEqual({
      iss: stack.pool.edge,
      aud: stack.pool.edge,
      sub: "ci",
      cnf: { jwk: key.publicJwk },
      platform: {
        iss: issuer.url,
        sub: PLATFORM_CLAIMS.github.sub,
        claims: { repository: "acme/shop", sub: PLATFORM_CLAIMS.github.sub },
      },
    });
    expect(jti).toMatch(/^[\w-]{22}$/);
    expect(iat).toBeGreaterThanOrEqual(before);
    // The token lives for 5 minutes, the leeway is 5 s.
    expect(exp - iat).toBeLessThanOrEqual(305);
    expect((rest as unknown as { expires_in: number }).expires_in).toBe(exp - iat);
  });

  test.each([
    ["15 minutes at most", 3_600, 900],
    ["no longer than the platform's token and the leeway", 60, 65],
  ])("lives %s", async (_what, life, most) => {
    const now = seconds();
    const certificate = await stack.certify({
      client: "ci",
      token: issuer.token("github", { claims: { iat: now, exp: now + life } }),
      key,
    });
    const { iat, exp } = decodeJwt(certificate) as { iat: number; exp: number };
    expect(exp - iat).toBeGreaterThan(most - 5);
    expect(exp - iat).toBeLessThanOrEqual(most);
  });

  test("is given for a P-256 key, an id_token, and members of the form that are not known", async () => {
    const other = await newWorkloadKey("ES256");
    const certificate = await stack.certify({
      client: "ci",
      token: issuer.token("github"),
      key: other,
      form: {
        subject_token_type: "urn:ietf:params:oauth:token-type:id_token",
        requested_token_type: "urn:ietf:params:oauth:token-type:jwt",
        scope: "x",
      },
    });
    const { cnf } = decodeJwt(certificate) as unknown as CertificateClaims;
    expect(await calculateJwkThumbprint(cnf.jwk)).toBe(await calculateJwkThumbprint(other.publicJwk));
  });

  test.each<[PlatformName, IssuerAlg, Record<string, string>, Record<string, unknown>?]>([
    ["github", "RS256", { repository_id: "456789", ref: "refs/heads/main" }],
    ["github, numbered", "RS256", { sub: "repo:acme@123456/shop@456789:*" }],
    ["fly", "RS256", { sub: "acme:shop:*", app_name: "shop" }],
    ["vercel", "RS256", { sub: "owner:acme:project:shop:*", environment: "production" }],
    ["google", "RS256", { email: "shop@acme.iam.gserviceaccount.com" }, { email_verified: true }],
    ["google", "RS256", { sub: "104029292853099978293" }],
    ["aws", "ES384", { sub: "arn:aws:iam::123456789012:role/shop" }],
    ["kubernetes", "ES256", { sub: "system:serviceaccount:shop:*" }],
    ["kubernetes", "Ed25519", { sub: "system:serviceaccount:shop:api" }],
  ])("is given to a workload of %s (%s), by %j", async (platform, alg, claims, more = {}) => {
    const id = `c${createHash("sha256")
      .update(`${platform}${alg}${JSON.stringify(claims)}`)
      .digest("hex")
      .slice(0, 8)}`;
    const own = stack.issuers.issuer(`/${id}`, stack.pool.edge, alg);
    await stack.register(id, { issuers: [{ issuer: own.url, claims }] });
    const certificate = await stack.certify({ client: id, token: own.token(platform), key });
    const { platform: identity } = decodeJwt(certificate) as unknown as CertificateClaims;
    const seen = Object.fromEntries(
      Object.keys(claims).map((name) => [name, (PLATFORM_CLAIMS[platform] as Record<string, unknown>)[name]]),
    );
    expect(identity).toEqual({
      iss: own.url,
      sub: PLATFORM_CLAIMS[platform].sub,
      claims: { ...seen, ...more },
    });
  });

  test("is given where the audience of the rule's own is asked for, and the edge's is not", async () => {
    await stack.register("own-audience", {
      issuers: [{ issuer: issuer.url, audience: "holdfast", claims: { repository: "acme/shop" } }],
    });
    for (const aud of ["holdfast", ["holdfast"]]) {
      await stack.certify({
        client: "own-audience",
        token: issuer.token("github", { claims: { aud } }),
        key,
      });
    }
    const answer = await exchange(issuer.token("github"), { client: "own-audience" });
    expect(expectRefusal(answer, "platform_token_refused").detail).toMatch(/ in aud$/);
  });
});

const changed = (changes: TokenChanges) => () => issuer.token("github", changes);
const claims = (changes: TokenChanges["claims"]) => changed({ claims: changes! });

describe("no certificate for a platform's token", () => {
  test.each<[what: string, code: ErrorCode, token: () => string, told?: RegExp]>([
    // Genuine ones of a trusted issuer, which serves others, too.
    ["for Vercel", "platform_token_refused", claims({ aud: "https://vercel.com/acme" }), / in aud$/],
    [
      "for several at once",
      "platform_token_refused",
      () => issuer.token("github", { claims: { aud: [stack.pool.edge, "sts.amazonaws.com"] } }),
      / in aud$/,
    ],
    ["without audience", "platform_token_refused", claims({ aud: undefined }), / in aud$/],
    [
      "of a foreign owner",
      "platform_token_refused",
      claims({ repository: "evil/shop", sub: "repo:evil/shop:ref:refs/heads/main" }),
      / in repository, sub$/,
    ],
    [
      "of a neighbour by name",
      "platform_token_refused",
      claims({ repository: "acme/shop-evil", sub: "repo:acme/shop-evil:x" }),
      / in repository, sub$/,
    ],
    ["without the claim", "platform_token_refused", claims({ repository: undefined }), / in repository$/],
    [
      "whose claim is a list",
      "platform_token_refused",
      claims({ repository: ["acme/shop"] }),
      / in repository$/,
    ],
    // Times, which are the same to everybody.
    ["that ended", "token_expired", claims({ iat: seconds() - 600, exp: seconds() - 10 })],
    ["that is to come", "token_premature", claims({ iat: seconds() + 60, exp: seconds() + 600 })],
    ["that is not good before", "token_premature", claims({ nbf: seconds() + 60 })],
    ["that lives for two days", "platform_token_invalid", claims({ exp: seconds() + 172_800 })],
    ["that ends before it begins", "platform_token_invalid", claims({ exp: seconds() - 1, iat: seconds() })],
    ["without end", "platform_token_invalid", claims({ exp: undefined })],
    ["without beginning", "platform_token_invalid", claims({ iat: undefined })],
    ["whose end is text", "platform_token_invalid", claims({ exp: String(seconds() + 60) })],
    ["without subject", "platform_token_invalid", claims({ sub: undefined })],
    // Nobody's word.
    ["that nobody signed", "platform_token_invalid", changed({ header: { alg: "none" }, signer: unsigned })],
    [
      "with a public key as an HMAC's secret",
      "platform_token_invalid",
      () => issuer.token("github", { header: { alg: "HS256" }, signer: hmac(JSON.stringify(issuer.jwk)) }),
    ],
    ["by the key's other algorithm", "platform_token_invalid", changed({ header: { alg: "PS256" } })],
    [
      "by another's key under its kid",
      "platform_token_invalid",
      () => foreign.token("github", { claims: { iss: issuer.url }, header: { kid: issuer.jwk["kid"] } }),
    ],
    ["by a key that nobody has", "platform_token_invalid", changed({ header: { kid: "no-such-key" } })],
    ["by no named key", "platform_token_invalid", changed({ header: { kid: undefined } })],
    [
      "by a key that it brings along",
      "platform_token_invalid",
      () => foreign.token("github", { claims: { iss: issuer.url }, header: { jwk: foreign.jwk } }),
    ],
    ["of an issuer that another client trusts", "platform_token_invalid", () => foreign.token("github")],
    [
      "of an issuer that nobody trusts",
      "platform_token_invalid",
      claims({ iss: "https://evil.example.com" }),
    ],
    [
      "of its issuer with a slash",
      "platform_token_invalid",
      () => issuer.token("github", { claims: { iss: `${issuer.url}/` } }),
    ],
    ["that is an access token", "platform_token_invalid", changed({ header: { typ: "at+jwt" } })],
    ["with an unknown critical header", "platform_token_invalid", changed({ header: { crit: ["x"], x: 1 } })],
    [
      "whose payload is no JWT's",
      "platform_token_invalid",
      changed({ header: { b64: false, crit: ["b64"] } }),
    ],
    ["that is none", "platform_token_invalid", () => "x.y.z"],
    ["that is a list", "platform_token_invalid", () => "W10.W10.AA"],
    ["of 17 kB", "platform_token_invalid", claims({ more: "x".repeat(13_000) })],
  ])("%s: %s", async (_what, code, token, told) => {
    const { detail } = expectRefusal(await exchange(token()), code);
    if (told !== undefined) expect(detail).toMatch(told);
    // What the client's record asks for is not told.
    expect(detail).not.toMatch(/acme|127\.0\.0\.1|evil/);
  });

  test("says the same to whoever is no issuer's, whichever issuer the client trusts", async () => {
    const tokens = [
      foreign.token("github"),
      issuer.token("github", { claims: { iss: "https://token.actions.githubusercontent.com" } }),
      issuer.token("github", { header: { kid: "other" } }),
      foreign.token("github", { claims: { iss: issuer.url }, header: { kid: issuer.jwk["kid"] } }),
    ];
    const bodies = new Set<string>();
    for (const client of ["ci", "app"]) {
      for (const token of tokens) bodies.add((await exchange(token, { client }))!.body);
    }
    expect(bodies.size).toBe(1);
  });

  test("of an issuer that is not trusted asks nobody for anything", async () => {
    const { asked } = stack.issuers.issuer("/never", stack.pool.edge);
    const never = stack.issuers.issuer("/never", stack.pool.edge);
    expectRefusal(await exchange(never.token("github")), "platform_token_invalid");
    expect([asked, never.asked]).toEqual([
      { discovery: 0, keys: 0 },
      { discovery: 0, keys: 0 },
    ]);
  });

  test("of a client that there isn't", async () => {
    expectRefusal(await exchange(issuer.token("github"), { client: "nobody" }), "client_unknown");
  });

  test("whose claims are longer than a certificate holds", async () => {
    const sub = `repo:acme/shop:${"x".repeat(3_000)}`;
    const answer = await exchange(issuer.token("github", { claims: { sub } }));
    expect(expectRefusal(answer, "platform_token_refused").detail).toContain("too long for a certificate");
  });
});

test("nothing of a token stands in the edge's log", () => {
  expect(stack.pool.log()).not.toMatch(/eyJ/);
});
