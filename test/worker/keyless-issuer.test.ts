import { generateKeyPairSync } from "node:crypto";
import type { ServerResponse } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createCa, issueCertificate } from "../../dev/certificates.ts";
import type { ErrorCode } from "../../protocol/errors.ts";
import { hmac } from "../support/compact-jws.ts";
import { type KeylessStack, newWorkloadKey, startKeyless, type WorkloadKey } from "../support/keyless.ts";
import {
  answerAsItShould,
  type IssuerDocument,
  type OidcIssuer,
  startOidcServer,
} from "../support/oidc-issuer.ts";
import { expectRefusal } from "../support/refusal.ts";

/** What an edge asks of issuers, and what it makes of what they answer. */

let stack: KeylessStack;
let key: WorkloadKey;
let made = 0;

beforeAll(async () => {
  stack = await startKeyless();
  key = await newWorkloadKey();
});
afterAll(() => stack.stop());

/** An issuer that nobody was asked for yet, and the client that trusts it. */
async function fresh(
  make = (path: string) => stack.issuers.issuer(path, stack.pool.edge),
): Promise<{ issuer: OidcIssuer; client: string }> {
  const client = `c-${++made}`;
  const issuer = make(`/${client}`);
  await stack.register(client, {
    issuers: [{ issuer: issuer.url, claims: { repository: "acme/shop" } }],
  });
  return { issuer, client };
}

const exchange = (client: string, token: string) => stack.exchange({ client, token, key });

describe("an issuer is asked once", () => {
  test("for many tokens, at once and one after the other", async () => {
    const { issuer, client } = await fresh();
    const answers = await Promise.all(
      Array.from({ length: 12 }, () => exchange(client, issuer.token("github"))),
    );
    answers.push(await exchange(client, issuer.token("github")));
    expect(answers.map((answer) => answer?.status)).toEqual(answers.map(() => 200));
    expect(issuer.asked).toEqual({ discovery: 1, keys: 1 });
  });

  test("however many keys a stranger makes up", async () => {
    const { issuer, client } = await fresh();
    for (let round = 0; round < 10; round++) {
      const answers = await Promise.all(
        Array.from({ length: 15 }, (_, i) =>
          exchange(client, issuer.token("github", { header: { kid: `made-up-${round}-${i}` } })),
        ),
      );
      for (const answer of answers) expectRefusal(answer, "platform_token_invalid");
    }
    expect(issuer.asked).toEqual({ discovery: 1, keys: 1 });
    expect((await exchange(client, issuer.token("github")))?.status).toBe(200);
  });
});

describe("an issuer's answer that is of no use", () => {
  const discovery = (body: (issuer: OidcIssuer) => unknown) => answers("discovery", body);
  const keys = (body: (issuer: OidcIssuer) => unknown) => answers("keys", body);
  const answers =
    (of: IssuerDocument, body: (issuer: OidcIssuer) => unknown): Answer =>
    (issuer, document, response) =>
      document === of
        ? response.end(JSON.stringify(body(issuer)))
        : answerAsItShould(issuer, document, response);
  type Answer = (issuer: OidcIssuer, document: IssuerDocument, response: ServerResponse) => unknown;
  const weak = generateKeyPairSync("rsa", { modulusLength: 1_024 }).publicKey.export({ format: "jwk" });

  test.each<[what: string, code: ErrorCode, answer: Answer]>([
    ["is no JSON", "issuer_unavailable", (_issuer, _document, response) => response.end("<html>")],
    ["is nothing", "issuer_unavailable", (_issuer, _document, response) => response.end()],
    ["is null", "issuer_unavailable", discovery(() => null)],
    [
      "is an error",
      "issuer_unavailable",
      (_issuer, _document, response) => response.writeHead(500).end("{}"),
    ],
    [
      "is a redirect",
      "issuer_unavailable",
      (issuer, document, response) =>
        document === "discovery"
          ? response.writeHead(302, { Location: `${issuer.url}/elsewhere` }).end()
          : answerAsItShould(issuer, document, response),
    ],
    [
      "is another issuer's",
      "issuer_unavailable",
      discovery(({ url }) => ({ issuer: `${url}/x`, jwks_uri: url })),
    ],
    ["has no keys' URL", "issuer_unavailable", discovery(({ url }) => ({ issuer: url }))],
    [
      "has keys by plain http",
      "issuer_unavailable",
      discovery(({ url }) => ({ issuer: url, jwks_uri: "http://192.0.2.1/" })),
    ],
    [
      "has keys in a file",
      "issuer_unavailable",
      discovery(({ url }) => ({ issuer: url, jwks_uri: "file:///etc/passwd" })),
    ],
    [
      "has keys behind a user",
      "issuer_unavailable",
      discovery(({ url }) => ({ issuer: url, jwks_uri: url.replace("//", "//user:password@") })),
    ],
    ["has keys that are no list", "issuer_unavailable", keys(() => ({ keys: {} }))],
    [
      "has 101 keys",
      "issuer_unavailable",
      keys(({ jwk }) => ({ keys: Array.from({ length: 101 }, () => jwk) })),
    ],
    [
      "never ends",
      "issuer_unavailable",
      (_issuer, _document, response) => {
        const timer = setInterval(() => response.write(" ".repeat(65_536)), 1);
        response.once("close", () => clearInterval(timer));
      },
    ],
    [
      "has no key of use",
      "platform_token_invalid",
      keys(() => ({ keys: [null, 1, "x", {}, { kty: "EC" }] })),
    ],
    [
      "has the key for another use",
      "platform_token_invalid",
      keys(({ jwk }) => ({ keys: [{ ...jwk, use: "enc" }] })),
    ],
    [
      "has the key for another algorithm",
      "platform_token_invalid",
      keys(({ jwk }) => ({ keys: [{ ...jwk, alg: "ES384" }] })),
    ],
    [
      "has a short RSA key",
      "platform_token_invalid",
      keys(({ jwk }) => ({ keys: [{ ...weak, kid: jwk["kid"] }] })),
    ],
    [
      "has a key that is none",
      "platform_token_invalid",
      keys(({ jwk }) => ({ keys: [{ ...jwk, x: "AA" }] })),
    ],
  ])("%s: %s", async (_what, code, answer) => {
    const { issuer, client } = await fresh();
    issuer.answer = (document, response) => answer(issuer, document, response);
    expectRefusal(await exchange(client, issuer.token("github")), code);
  });

  test("has a symmetric key: no token is taken by it", async () => {
    const { issuer, client } = await fresh();
    const oct = { kty: "oct", k: Buffer.from("secret").toString("base64url"), kid: "oct", alg: "HS256" };
    issuer.others.push(oct);
    const header = { alg: "HS256", kid: "oct" };
    const token = issuer.token("github", { header, signer: hmac("secret") });
    expectRefusal(await exchange(client, token), "platform_token_invalid");
  });

  test("has weak and strange keys beside a good one: that is used", async () => {
    const { issuer, client } = await fresh();
    issuer.others.push({ ...weak, kid: "weak" }, { kty: "AKP", kid: "new", alg: "ML-DSA-44", pub: "AA" });
    expect((await exchange(client, issuer.token("github")))?.status).toBe(200);
  });
});

describe.concurrent("an issuer that", () => {
  test("can't be reached is told as such, and asked again after 5 s; keys that are known go on", async () => {
    const server = await startOidcServer();
    const own = (path: string) => server.issuer(path, stack.pool.edge);
    const known = await fresh(own);
    expect((await exchange(known.client, known.issuer.token("github")))?.status).toBe(200);
    const { issuer, client } = await fresh(own);
    await server.shut();
    const answer = await exchange(client, issuer.token("github"));
    const { detail } = expectRefusal(answer, "issuer_unavailable");
    expect(Number(answer?.field("retry-after"))).toBeLessThanOrEqual(5);
    expect(detail).not.toContain("127.0.0.1");
    expect(stack.pool.log()).toContain(`the keys of ${issuer.url} can't be fetched`);
    expect((await exchange(known.client, known.issuer.token("github")))?.status).toBe(200);
    await server.open();
    expectRefusal(await exchange(client, issuer.token("github")), "issuer_unavailable");
    expect(issuer.asked.discovery).toBe(0);
    await pause(5_000);
    expect((await exchange(client, issuer.token("github")))?.status).toBe(200);
    await server.shut();
  });

  test("does not come, or not to its end, within 3 s", async () => {
    const silent = await fresh();
    silent.issuer.answer = () => {};
    const slow = await fresh();
    slow.issuer.answer = (_document, response) => {
      const timer = setInterval(() => response.write(" "), 100);
      response.once("close", () => clearInterval(timer));
    };
    const start = Date.now();
    const told = await Promise.all(
      [silent, slow].map(({ client, issuer }) => exchange(client, issuer.token("github"))),
    );
    for (const answer of told) expectRefusal(answer, "issuer_unavailable");
    expect(Date.now() - start).toBeLessThan(10_000);
  });
});

test("an https issuer is taken by its certificate alone", async () => {
  const { cert, key: privateKey } = stack.pool.keys;
  const good = await startOidcServer({ cert, key: privateKey });
  const ca = await createCa("Nobody's CA");
  const bad = await startOidcServer(await issueCertificate(ca, { dns: ["localhost"] }));
  try {
    const one = await fresh((path) => good.issuer(path, stack.pool.edge));
    expect((await exchange(one.client, one.issuer.token("github")))?.status).toBe(200);
    const other = await fresh((path) => bad.issuer(path, stack.pool.edge));
    expectRefusal(await exchange(other.client, other.issuer.token("github")), "issuer_unavailable");
    expect(other.issuer.asked.discovery).toBe(0);
  } finally {
    await Promise.all([good.shut(), bad.shut()]);
  }
});

test("tokens that fail cost their sender, at both doors; whom the isolate knows goes on", async () => {
  const { issuer, client } = await fresh();
  await stack.register("bearer", {
    issuers: [{ issuer: issuer.url, claims: { repository: "acme/shop" } }],
    bearer: true,
  });
  const from = "X-Test-Address: 192.0.2.7";
  const failing = [
    () =>
      stack.exchange({
        client,
        token: issuer.token("github", { claims: { repository: "evil/shop" } }),
        key,
        more: [from],
      }),
    () =>
      stack.exchange({
        client,
        token: issuer.token("github", { header: { kid: "none" } }),
        key,
        more: [from],
      }),
    () =>
      stack.exchange({
        client,
        token: issuer.token("github"),
        key,
        proof: { claims: { htm: "GET" } },
        more: [from],
      }),
    () =>
      stack.ask([
        `Relay-Authorization: Bearer ${issuer.token("github", { header: { kid: "none" } })}`,
        "Relay-Client: bearer",
        "Relay-Target: https://api.bank.com/v1/accounts",
        from,
      ]),
  ];
  const codes: (string | undefined)[] = [];
  // One more is let through each second.
  while (codes.at(-1) !== "rate_limited" && codes.length < 100) {
    codes.push((await failing[codes.length % 4]!())?.field("relay-error"));
  }
  expect(codes.at(-1)).toBe("rate_limited");
  expect(codes.length).toBeGreaterThan(20);
  // The issuer is not asked for them, and a good token of the client's is taken.
  expect(issuer.asked).toEqual({ discovery: 1, keys: 1 });
  const good = await stack.exchange({ client, token: issuer.token("github"), key, more: [from] });
  expect(good?.status).toBe(200);
  const stranger = await stack.exchange({
    client: "stranger",
    token: issuer.token("github"),
    key,
    more: [from],
  });
  expectRefusal(stranger, "rate_limited");
});
