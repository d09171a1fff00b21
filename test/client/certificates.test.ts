import { decodeJwt, decodeProtectedHeader, exportJWK } from "jose";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { type Certificate, requestCertificate } from "../../client/certificate.ts";
import { careOf, Certificates } from "../../client/certificates.ts";
import { createRelay, createScopeToken, RelayError } from "../../client/index.ts";
import { createSockets } from "../../client/node/sockets.ts";
import { resolveService } from "../../client/resolve.ts";
import { createSigner, withinCertificate } from "../../client/signer.ts";
import type { ScopeClaims } from "../../protocol/claims.ts";
import { verifySignature } from "../../protocol/tokens.ts";
import { type FakeEdge, startFakeEdge } from "../support/fake-edge.ts";
import { failureOf } from "../support/fidelity.ts";
import { startStreamRelay, type StreamRelay } from "../support/stream-relay.ts";
import { startTcpTarget, type TcpTarget } from "../support/tcp-target.ts";
import { type Origin, startOrigin } from "./origin.ts";

const TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJqb2IifQ.c2lnbmF0dXJl";

let edge: FakeEdge;
let origin: Origin;
/** The edge's clock and the client's own. */
let clock: number;
let asked: string[];
beforeAll(async () => {
  origin = await startOrigin((got, response) =>
    response.end(`${got.method} ${got.url} ${got.body.toString()}`),
  );
});
beforeEach(async () => {
  edge = await startFakeEdge();
  clock = Date.now();
  asked = [];
  return () => edge.close();
});
afterEach(() => vi.restoreAllMocks());
afterAll(() => origin.close());

const identityToken = async (audience: string) => {
  asked.push(audience);
  return TOKEN;
};
const relayOf = () => createRelay(edge.keylessUrl, { identityToken });
const certificatesOf = () =>
  new Certificates({
    edge: edge.origin,
    clientId: "app",
    identityToken,
    underlying: () => fetch,
    now: () => clock,
  });

describe("a client without a key", () => {
  test("signs under a certificate, which is got once for many calls", async () => {
    edge.desk.delayMs = 100;
    const relay = relayOf();
    const answers = await Promise.all(Array.from({ length: 8 }, (_, i) => relay.fetch(`${origin.url}/${i}`)));
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 8 }, () => 200));
    await relay.fetch(origin.url);
    expect(asked).toEqual([edge.origin]);
    expect(edge.desk.seen).toEqual([
      {
        form: {
          grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
          subject_token: TOKEN,
          subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
          client_id: "app",
        },
        proof: { alg: "Ed25519", htu: `${edge.origin}/token`, iat: expect.closeTo(Date.now() / 1_000, -1) },
      },
    ]);
  });

  test("has a key that nobody can take out", async () => {
    const { key } = await certificatesOf().get();
    expect(key.extractable).toBe(false);
    await expect(exportJWK(key)).rejects.toThrow(/extractable/);
  });

  test("takes ES256 where the runtime has no Ed25519", async () => {
    const generate = crypto.subtle.generateKey.bind(crypto.subtle);
    vi.spyOn(crypto.subtle, "generateKey").mockImplementation(((
      algorithm: Algorithm,
      ...rest: [boolean, KeyUsage[]]
    ) =>
      algorithm.name === "Ed25519"
        ? Promise.reject(new DOMException("unknown", "NotSupportedError"))
        : generate(algorithm, ...rest)) as typeof crypto.subtle.generateKey);
    expect((await relayOf().fetch(origin.url)).status).toBe(200);
    expect(edge.desk.seen[0]!.proof.alg).toBe("ES256");
  });

  test("shares its certificates with others of the same client that have nothing of their own", async () => {
    vi.stubEnv("HOLDFAST_ID_TOKEN", TOKEN);
    for (let i = 0; i < 3; i++) await createRelay(edge.keylessUrl).fetch(origin.url);
    await createScopeToken(edge.keylessUrl, { act: "stream", allow: ["tcp://a.example:1"], ttlSeconds: 60 });
    expect(edge.desk.seen).toHaveLength(1);
    vi.unstubAllEnvs();
  });

  test.each(["GET", "POST"])(
    "gets another certificate where the edge does not take its own: %s",
    async (method) => {
      const relay = relayOf();
      await relay.fetch(origin.url);
      await edge.desk.rotate();
      const body = method === "POST" ? "abc" : undefined;
      const answers = await Promise.all(
        [1, 2, 3].map((n) => relay.fetch(`${origin.url}/${n}`, { method, ...(body && { body }) })),
      );
      expect(await Promise.all(answers.map((one) => one.text()))).toEqual(
        [1, 2, 3].map((n) => `${method} /${n} ${body ?? ""}`),
      );
      expect(edge.desk.seen).toHaveLength(2);
    },
  );

  test("fails with a body that is read by then, and the next call is well", async () => {
    const relay = relayOf();
    await relay.fetch(origin.url);
    await edge.desk.rotate();
    const body = new Blob(["abc"]).stream();
    const call = relay.fetch(origin.url, { method: "POST", body, duplex: "half" } as RequestInit);
    expect(await failureOf(call)).toMatchObject({ code: "certificate_invalid", reached: "no" });
    expect((await relay.fetch(origin.url)).status).toBe(200);
  });

  test("waits for a certificate no longer than the caller does", async () => {
    edge.desk.delayMs = 2_000;
    const start = performance.now();
    const signal = AbortSignal.timeout(50);
    await expect(relayOf().fetch(origin.url, { signal })).rejects.toMatchObject({ name: "TimeoutError" });
    const name = "a.b.example";
    const resolving = resolveService(edge.keylessUrl, name, {
      identityToken,
      signal: AbortSignal.timeout(50),
    });
    await expect(resolving).rejects.toMatchObject({ name: "TimeoutError" });
    expect(performance.now() - start).toBeLessThan(1_500);
  });

  test("tries once, and not for ever", async () => {
    const relay = relayOf();
    await relay.fetch(origin.url);
    const refuse = () => edge.next(() => Promise.reject(new RelayError("token_signature", "not mine")));
    refuse();
    refuse();
    expect(await failureOf(relay.fetch(origin.url))).toMatchObject({ code: "token_signature" });
    expect(edge.desk.seen).toHaveLength(2);
  });
});

describe("streams of a client without a key", () => {
  let relay: StreamRelay;
  let server: TcpTarget;
  let target: { readonly host: string; readonly port: number };
  beforeAll(async () => {
    relay = await startStreamRelay();
    server = await startTcpTarget((socket) => void socket.pipe(socket));
    target = { host: "127.0.0.1", port: server.port };
  });
  afterAll(async () => {
    await relay.close();
    await server.close();
  });

  const echo = {
    connect: async () => {
      const connection = createRelay(relay.keylessUrl, { identityToken }).connect(target);
      const writer = connection.writable.getWriter();
      const say = async (text: string) => {
        await writer.write(new TextEncoder().encode(text));
        const reader = connection.readable.getReader();
        const { value } = await reader.read();
        reader.releaseLock();
        return new TextDecoder().decode(value);
      };
      return { say, end: () => writer.abort() };
    },
    sockets: async () => {
      const socket = createSockets(relay.keylessUrl, { identityToken }).connect(target);
      const say = (text: string) =>
        new Promise<string>((resolve, reject) => {
          socket.once("data", (data: Buffer) => resolve(data.toString())).once("error", reject);
          socket.write(text);
        });
      return { say, end: async () => void socket.destroy() };
    },
  };

  test.each(["connect", "sockets"] as const)(
    "%s: open and go on, also after a change of the edge's key",
    async (way) => {
      const { say, end } = await echo[way]();
      expect(await say("one")).toBe("one");
      await relay.desk.rotate();
      // A stream that is taken up again, and a new one of the same client.
      relay.cut();
      expect(await say("two")).toBe("two");
      // Else it would be taken up again where another one is looked at.
      await end();
    },
  );

  test("open where the certificate at hand is not taken any more", async () => {
    const { connect } = createSockets(relay.keylessUrl, { identityToken });
    const opened = () =>
      new Promise<void>((resolve, reject) => {
        const socket = connect(target).once("error", reject);
        socket.once("connect", () => {
          socket.destroy();
          resolve();
        });
      });
    await opened();
    await relay.desk.rotate();
    const before = relay.desk.seen.length;
    await opened();
    expect(relay.desk.seen).toHaveLength(before + 1);
  });
});

describe("a certificate's life", () => {
  const S = 1_000;
  test.each([
    [0, 900, "use"],
    [599, 900, "use"],
    [600, 900, "renew"],
    [840, 900, "renew"],
    [841, 900, "replace"],
    [899, 900, "replace"],
    [900, 900, "over"],
    [59, 90, "use"],
    [60, 90, "renew"],
    [74, 90, "renew"],
    [76, 90, "replace"],
    [90, 90, "over"],
    [19, 30, "use"],
    [26, 30, "replace"],
    [-100, 900, "use"],
  ] as const)("after %d s of %d: %s", (age, life, care) => {
    expect(careOf({ from: 1e12, until: 1e12 + life * S }, 1e12 + age * S)).toBe(care);
  });

  test("is renewed beside its use, then before it", async () => {
    const certificates = certificatesOf();
    const first = await certificates.get();
    clock += 599 * S;
    expect(await certificates.get()).toBe(first);
    clock += 2 * S;
    expect(await certificates.get()).toBe(first);
    await expect.poll(async () => (await certificates.get()) === first).toBe(false);
    expect(edge.desk.seen).toHaveLength(2);
    const second = await certificates.get();
    clock += 850 * S;
    const third = await certificates.get();
    expect(third).not.toBe(second);
    clock += 900 * S;
    expect(await certificates.get()).not.toBe(third);
    expect(edge.desk.seen).toHaveLength(4);
  });

  test("goes on to its end where no other can be had, which is not tried at each use", async () => {
    const certificates = certificatesOf();
    const first = await certificates.get();
    clock += 850 * S;
    const refusal = new RelayError("registry_unavailable", "later");
    edge.desk.next(refusal);
    for (let i = 0; i < 5; i++) expect(await certificates.get()).toBe(first);
    expect(edge.desk.seen).toHaveLength(2);
    clock += 6 * S;
    edge.desk.next(refusal);
    expect(await certificates.get()).toBe(first);
    clock += 60 * S;
    edge.desk.next(refusal);
    await expect(certificates.get()).rejects.toMatchObject({ code: "registry_unavailable", reached: "no" });
    expect(await certificates.get()).not.toBe(first);
  });

  test("ends with what all who wait get told, when it can't be had", async () => {
    const certificates = certificatesOf();
    edge.desk.delayMs = 50;
    edge.desk.next(new RelayError("client_unknown", "no such client"));
    const failures = await Promise.all(Array.from({ length: 5 }, () => failureOf(certificates.get())));
    expect(failures.map((one) => one.code)).toEqual(Array.from({ length: 5 }, () => "client_unknown"));
    expect(edge.desk.seen).toHaveLength(1);
  });

  test("does not end by being dropped for another", async () => {
    const certificates = certificatesOf();
    const first = await certificates.get();
    certificates.drop(first.certificate);
    const second = await certificates.get();
    certificates.drop(first.certificate);
    expect(await certificates.get()).toBe(second);
  });
});

describe("an exchange", () => {
  const ask = () =>
    requestCertificate({
      edge: edge.origin,
      clientId: "app",
      platformToken: TOKEN,
      underlying: fetch,
      now: () => clock,
    });
  const json = (changes: object, status = 200) =>
    edge.desk.next((response) => {
      const good = { access_token: TOKEN, token_type: "N_A", expires_in: 900 };
      response.writeHead(status).end(JSON.stringify({ ...good, ...changes }));
    });

  test.each([
    ["a refusal", () => edge.desk.next(new RelayError("token_audience", "not for me")), "token_audience"],
    ["a page", () => edge.desk.next((r) => r.writeHead(502).end("<html>")), "edge_failed"],
    [
      "a redirect",
      () => edge.desk.next((r) => r.writeHead(302, { Location: "/token" }).end()),
      "edge_failed",
    ],
    ["no answer", () => edge.desk.next((r) => r.destroy()), "edge_unreachable"],
    ["no JSON", () => edge.desk.next((r) => r.end(`{"access_token":"${TOKEN}`)), "answer_invalid"],
    ["JSON that is null", () => edge.desk.next((r) => r.end("null")), "answer_invalid"],
    ["no certificate", () => json({ access_token: undefined }), "answer_invalid"],
    ["a certificate that is no JWT", () => json({ access_token: "a.b" }), "answer_invalid"],
    ["a certificate for another client", () => json({}), "answer_invalid"],
    [
      "a certificate that is too long",
      () => json({ access_token: `${TOKEN}${"a".repeat(9_000)}` }),
      "answer_invalid",
    ],
    ["no time", () => json({ expires_in: "900" }), "answer_invalid"],
    ["no time left", () => json({ expires_in: 0 }), "answer_invalid"],
    ["an answer without end", () => edge.desk.next((r) => r.end("a".repeat(100_000))), "answer_invalid"],
  ])("with %s fails, and tells no token", async (_, prepare, code) => {
    prepare();
    const error = await failureOf(ask());
    expect(error).toMatchObject({ code, reached: "no" });
    expect(`${error.stack} ${String(error.cause)} ${JSON.stringify(error)}`).not.toContain(
      TOKEN.slice(0, 30),
    );
  });
});

describe("a scope token", () => {
  const claims = { iat: 1_000, exp: 1_900 } as ScopeClaims;
  test.each([
    [1_900, 1_900],
    [2_500, 1_900],
    [1_899, 1_899],
    [1_885, 1_885],
  ])("under a certificate until %d ends at %d", (exp, ends) => {
    expect(withinCertificate(claims, exp).exp).toBe(ends);
  });

  test("is refused where it is to live longer, and says how long it may", () => {
    expect(() => withinCertificate(claims, 1_300)).toThrow(
      expect.objectContaining({
        code: "token_lifetime",
        detail: expect.stringContaining("300 s now, and not 900 s"),
      }),
    );
  });

  test("is signed under a certificate that lives as long, which is got where it is needed", async () => {
    edge.desk.now = () => clock;
    const { signScope, sign, certificates } = createSigner(edge.keylessUrl, {
      identityToken,
      now: () => clock,
    });
    await sign({ iss: "app" } as never);
    clock += 500_000;
    const iat = Math.floor(clock / 1_000);
    const token = await signScope({ ...claims, iat, exp: iat + 800 });
    expect(edge.desk.seen).toHaveLength(2);
    expect(decodeJwt(token).exp).toBe(iat + 800);
    const header = decodeProtectedHeader(token);
    const held: Certificate = await certificates!.get();
    expect(header).toEqual({ alg: "Ed25519", typ: "holdfast-scope+jwt", certificate: held.certificate });
    await verifySignature({ token, claims: {} }, [(await edge.desk.keyOf(token))!]);
  });
});
