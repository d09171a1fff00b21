import { randomBytes } from "node:crypto";
import pino from "pino";
import { Registry } from "prom-client";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type ErrorCode, isRelayError, type RelayError } from "../../../protocol/errors.ts";
import { newRequestId, TOKEN_TYPES } from "../../../protocol/tokens.ts";
import { EdgeClient } from "../../../relay-node/edge-client.ts";
import { EdgeAuthorizer } from "../../../relay-node/proxy/edge-authorizer.ts";
import type { ProxyUser } from "../../../relay-node/proxy/authorizer.ts";
import { Revocations } from "../../../relay-node/revocations/revocations.ts";
import { type Answer, type AskedEdge, refuse, startAskedEdge } from "../../support/asked-edge.ts";
import { compact, hmac } from "../../support/compact-jws.ts";
import { eventually } from "../../support/node-log.ts";
import { revocation } from "../../support/revocations.ts";

/** Who may use the proxy, asked of an edge that is the test's own, at times that the test sets. */

const T0 = Date.parse("2026-11-20T12:00:00Z");
const A = "tcp://a.example.com:443";
const B = "tcp://b.example.com:443";

let edge: AskedEdge;
let authorizer: EdgeAuthorizer;
let client: EdgeClient;
let revocations: Revocations;
let now: number;
let registry: Registry;
let lines: string[];
/** Every credential that a test used: none may show anywhere. */
let secrets: string[];
let shown: unknown[];

function newAuthorizer(answerMs?: number): EdgeAuthorizer {
  registry = new Registry();
  client = edge.newClient(answerMs);
  revocations = new Revocations(() => now);
  return new EdgeAuthorizer({
    config: { edge: edge.origin, id: edge.node.id },
    grantKeys: edge.node.grantKeys,
    client,
    revocations,
    registry,
    log: pino({ level: "debug" }, { write: (line: string) => void lines.push(line) }),
    now: () => now,
  });
}

/** Starts over with another deadline for the edge. */
async function withDeadline(answerMs: number): Promise<void> {
  await authorizer.close();
  await client.close();
  authorizer = newAuthorizer(answerMs);
}

beforeAll(async () => {
  edge = await startAskedEdge();
});
beforeEach(() => {
  now = T0;
  lines = [];
  secrets = [];
  shown = [];
  edge.now = () => now;
  edge.answer = edge.grantAll;
  edge.forget();
  authorizer = newAuthorizer();
});
afterEach(async () => {
  await authorizer.close();
  await client.close();
  const everything = [...lines, ...shown.map((error) => inspect(error)), await registry.metrics()].join("\n");
  for (const secret of secrets) expect(everything).not.toContain(secret);
});
afterAll(() => edge.away());

/** All that an error holds, its causes too. */
function inspect(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const own = JSON.stringify(error, Object.getOwnPropertyNames(error));
  return `${own}${error.stack}${error.cause === undefined ? "" : inspect(error.cause)}`;
}

function handle(): string {
  const text = `hf_${randomBytes(24).toString("base64url")}`;
  secrets.push(text);
  return text;
}

function token(claims: Record<string, unknown> = {}, header: Record<string, unknown> = {}): string {
  const iat = Math.floor(now / 1_000);
  const all = {
    iss: "app",
    aud: edge.origin,
    act: "proxy",
    iat,
    exp: iat + 86_400,
    jti: newRequestId(),
    allow: ["https://*"],
    ...claims,
  };
  const text = compact({ alg: "Ed25519", typ: TOKEN_TYPES.scope, ...header }, all, hmac("the client's"));
  secrets.push(text, ...text.split("."));
  return text;
}

const user = (
  credential: string = handle(),
  from = "192.0.2.1",
  id: string | undefined = "app",
): ProxyUser => ({
  user: id,
  credential,
  from,
});

/** How it ends: the client that is let in, or the error's code. */
async function ends(
  who: ProxyUser,
  target = A,
  signal?: AbortSignal,
  by: EdgeAuthorizer = authorizer,
): Promise<string> {
  try {
    const { grant } = await by.authorize(who, target, signal);
    expect(grant.target).toBe(target);
    return grant.sub;
  } catch (error) {
    shown.push(error);
    return isRelayError(error) ? error.code : (error as Error).message;
  }
}

async function failure(who: ProxyUser, target = A): Promise<RelayError> {
  expect(await ends(who, target)).not.toBe("app");
  return shown.at(-1) as RelayError;
}

/** An edge that answers when it is let. */
function held(answer: Answer = edge.grantAll): { readonly release: () => void; readonly answer: Answer } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return {
    release: resolve,
    answer: async (...args) => {
      await promise;
      await answer(...args);
    },
  };
}

const asked = (count: number) => eventually(() => edge.asked.length === count, `${count} questions came`);
const metric = async (name: string): Promise<number | undefined> => {
  const line = (await registry.metrics()).split("\n").find((one) => one.startsWith(`${name} `));
  return line === undefined ? undefined : Number(line.split(" ")[1]);
};
const logged = () => lines.map((line) => JSON.parse(line) as { level: number; msg: string; cause?: string });

describe("a grant", () => {
  test("is asked for once, by user, credential and target, and used without asking", async () => {
    const who = user();
    for (let i = 0; i < 5; i++) {
      expect(await ends(who)).toBe("app");
      now += 2_000;
    }
    expect(edge.asked).toEqual([{ user: "app", credential: who.credential, target: A }]);
    expect(await metric('holdfast_proxy_questions_total{outcome="granted"}')).toBe(1);
    expect(await metric('holdfast_proxy_unasked_total{outcome="granted"}')).toBe(4);
    expect(await metric("holdfast_proxy_grants")).toBe(1);
  });

  test("says what requests to an origin have to lie within", async () => {
    edge.answer = edge.grantWith({ within: [["http://a.example.com/v1/*"]] });
    const { grant, rules } = await authorizer.authorize(user(), "http://a.example.com");
    expect(grant.within).toEqual([["http://a.example.com/v1/*"]]);
    expect(rules).toHaveLength(1);
  });

  test.each([
    ["a handle that came alone", () => ({ user: undefined, credential: handle() })],
    ["a token that came alone", () => ({ user: undefined, credential: token() })],
    ["a token with its client's id", () => ({ user: "app", credential: token() })],
  ])("is given for %s", async (_, made) => {
    expect(await ends({ ...made(), from: "2001:db8::1" })).toBe("app");
  });

  test("is another one for another target, another user, another credential", async () => {
    const credential = handle();
    expect(await ends(user(credential))).toBe("app");
    expect(await ends(user(credential), B)).toBe("app");
    expect(await ends({ ...user(credential), user: undefined })).toBe("app");
    expect(await ends(user())).toBe("app");
    expect(edge.asked).toHaveLength(4);
  });

  test("that is used at a certain age is renewed in the background", async () => {
    const who = user();
    await ends(who);
    const { answer, release } = held();
    edge.answer = answer;
    now = T0 + 12_000;
    // Nobody waits, although the edge doesn't answer; and one question is enough.
    expect(await Promise.all([ends(who), ends(who), ends(who)])).toEqual(["app", "app", "app"]);
    await asked(2);
    release();
    await eventually(
      async () => (await metric('holdfast_proxy_questions_total{outcome="granted"}')) === 2,
      "the answer came",
    );
    now = T0 + 12_000 + 11_999;
    expect(await ends(who)).toBe("app");
    expect(edge.asked).toHaveLength(2);
  });

  test("that is older is asked for anew first, by all who come as one", async () => {
    const who = user();
    await ends(who);
    edge.answer = refuse("handle_unknown", "it was revoked");
    now = T0 + 20_000;
    expect(await Promise.all([ends(who), ends(who)])).toEqual(["handle_unknown", "handle_unknown"]);
    expect(edge.asked).toHaveLength(2);
  });

  test("that is renewed in vain in the background is gone, and fails nobody before", async () => {
    const who = user();
    await ends(who);
    edge.answer = refuse("target_not_allowed", "not any more");
    now = T0 + 15_000;
    expect(await ends(who)).toBe("app");
    await eventually(async () => (await ends(who)) === "target_not_allowed", "the refusal counts");
    expect(edge.asked).toHaveLength(2);
    expect(await metric("holdfast_proxy_grants")).toBe(0);
  });

  test("of a token that expires meanwhile is not used any more", async () => {
    const who = user(token({ exp: T0 / 1_000 + 2 }));
    expect(await ends(who)).toBe("app");
    now = T0 + 6_999;
    expect(await ends(who)).toBe("app");
    now = T0 + 7_000;
    expect(await ends(who)).toBe("token_expired");
    expect(edge.asked).toHaveLength(1);
  });
});

describe("while the edge is down", () => {
  test("what is granted goes on until it expires, nothing new is let in, and then it is as before", async () => {
    const who = user();
    await ends(who);
    await edge.away();
    try {
      now = T0 + 20_000;
      expect(await ends(who)).toBe("app");
      expect(await ends(who, B)).toBe("authorization_unavailable");
      expect(await ends(user())).toBe("authorization_unavailable");
      now = T0 + 299_999;
      expect(await ends(who)).toBe("app");
      now = T0 + 300_000;
      expect(await ends(who)).toBe("authorization_unavailable");
    } finally {
      await edge.listen();
    }
    expect(edge.asked).toHaveLength(1);
    now = T0 + 302_000;
    expect(await ends(who)).toBe("app");
    expect(logged().filter(({ level }) => level >= 30)).toEqual([
      expect.objectContaining({
        level: 40,
        msg: "edge not reached",
        cause: "ECONNREFUSED",
      }),
      expect.objectContaining({ level: 30, msg: "edge reached again" }),
    ]);
  });

  test("it is left alone for a while, and nobody with a grant waits for whether it is back", async () => {
    const who = user();
    await ends(who);
    now = T0 + 20_000;
    edge.answer = (_, response) => void response.destroy();
    expect(await ends(who)).toBe("app");
    // The question met a connection's end, and was asked once more.
    expect(edge.asked).toHaveLength(3);
    now += 999;
    expect(await ends(who)).toBe("app");
    expect(edge.asked).toHaveLength(3);
    const { answer, release } = held();
    edge.answer = answer;
    now += 1;
    expect(await ends(who)).toBe("app");
    await asked(4);
    release();
    await eventually(() => logged().some(({ level }) => level === 30), "it is found");
  });

  test.each<[string, ErrorCode, Answer]>([
    ["is too busy", "rate_limited", refuse("rate_limited", "too many", { retryAfter: 7 })],
    ["has no registry", "registry_unavailable", refuse("registry_unavailable", "no answer")],
    ["is broken", "authorization_unavailable", refuse("edge_internal", "broken")],
    ["is misconfigured", "authorization_unavailable", refuse("edge_misconfigured", "broken")],
    ["has no such route", "authorization_unavailable", refuse("not_found", "no such route")],
    [
      "is hidden by another's page",
      "authorization_unavailable",
      (_, response) => void response.writeHead(403).end("<html>"),
    ],
    [
      "can't tell who asks",
      "authorization_unavailable",
      (_, response) => void response.writeHead(401, { "Relay-Error": "node_unproven" }).end("{}"),
    ],
    ["answers in part", "authorization_unavailable", (_, response) => void response.end('{"grant":')],
  ])("or %s: what is granted goes on, a stranger hears %s", async (_, code, answer) => {
    const who = user();
    await ends(who);
    edge.answer = answer;
    now = T0 + 20_000;
    expect(await ends(who)).toBe("app");
    const error = await failure(user());
    expect(error.code).toBe(code);
    expect(error.retryable).toBe(true);
    if (code === "rate_limited") expect(error.retryAfter).toBe(7);
    // It was no refusal: as soon as it judges, it counts.
    now = T0 + 22_000;
    edge.answer = edge.grantAll;
    expect(await ends(who)).toBe("app");
    expect(await ends(user())).toBe("app");
  });

  test("nobody's question of a grant that is alive is sent before its rest is over", async () => {
    const [one, two] = [user(), user()];
    await ends(one);
    await ends(two);
    edge.answer = refuse("registry_unavailable", "no answer");
    now = T0 + 20_000;
    expect(await ends(one)).toBe("app");
    expect(edge.asked).toHaveLength(3);
    now += 999;
    expect(await ends(two)).toBe("app");
    // Whoever has none has to ask, and shows that the edge was not asked for the other.
    expect(await ends(user())).toBe("registry_unavailable");
    expect(
      edge.asked.map(({ credential }) => credential).filter((text) => text === two.credential),
    ).toHaveLength(1);
  });

  test("or too busy for one client: it asks again after a while, and others feel nothing", async () => {
    const [one, two] = [user(), user()];
    await ends(one);
    await ends(two);
    edge.answer = refuse("rate_limited", "too many");
    now = T0 + 20_000;
    expect([await ends(one), await ends(one)]).toEqual(["app", "app"]);
    expect(edge.asked).toHaveLength(3);
    edge.answer = refuse("handle_unknown", "revoked");
    expect(await ends(two)).toBe("handle_unknown");
    now += 1_000;
    expect(await ends(one)).toBe("handle_unknown");
    expect(logged().filter(({ level }) => level > 20)).toEqual([]);
  });

  test("or talkative: no more is read than a grant may be long", async () => {
    edge.answer = (_, response) => void response.end(`{"grant":"a.b.c"}${" ".repeat(70_000)}`);
    expect(await ends(user())).toBe("authorization_unavailable");
    expect(logged().filter(({ level }) => level === 40)).toEqual([
      expect.objectContaining({ cause: "answer_too_long" }),
    ]);
  });

  test("or slow: it has its time, and no more", async () => {
    await withDeadline(1_000);
    const who = user();
    await ends(who);
    edge.answer = () => {};
    now = T0 + 20_000;
    expect(await Promise.all([ends(who), ends(user())])).toEqual(["app", "authorization_unavailable"]);
    expect(logged().filter(({ level }) => level === 40)).toEqual([
      expect.objectContaining({ cause: "TimeoutError" }),
    ]);
  });

  test("or somebody else in its place: not by a certificate that nobody vouches for", async () => {
    const other = await startAskedEdge();
    const { secureContext } = edge;
    const toOther = new EdgeClient({ ...edge.node, edge: other.origin, secureContext });
    const misled = new EdgeAuthorizer({
      config: { id: edge.node.id, edge: other.origin },
      grantKeys: edge.node.grantKeys,
      client: toOther,
      revocations,
      registry: new Registry(),
      log: pino({ level: "silent" }),
      now: () => now,
    });
    try {
      expect(await ends(user(), A, undefined, misled)).toBe("authorization_unavailable");
      expect(other.asked).toEqual([]);
      expect(other.connections()).toBe(0);
    } finally {
      await misled.close();
      await toOther.close();
      await other.away();
    }
  });

  test("a question meets a connection that was closed, and goes over another one", async () => {
    await ends(user());
    let isFirst = true;
    edge.answer = (question, response) => {
      if (isFirst) response.destroy();
      else void edge.grantAll(question, response);
      isFirst = false;
    };
    expect(await ends(user())).toBe("app");
  });
});

describe("a refusal", () => {
  test.each<ErrorCode>([
    "token_signature",
    "token_expired",
    "token_lifetime",
    "token_act",
    "handle_unknown",
    "client_unknown",
    "proxy_credentials_invalid",
  ])("of the credential, %s, counts for every target for a while", async (code) => {
    const who = user();
    edge.answer = refuse(code, "no");
    expect(await ends(who)).toBe(code);
    edge.answer = edge.grantAll;
    now = T0 + 9_999;
    expect([await ends(who), await ends(who, B)]).toEqual([code, code]);
    expect(edge.asked).toHaveLength(1);
    expect(await metric(`holdfast_proxy_unasked_total{outcome="${code}"}`)).toBe(2);
    expect(await ends(user())).toBe("app");
    now = T0 + 10_000;
    expect(await ends(who)).toBe("app");
  });

  test("of the credential ends what it was granted for other targets", async () => {
    const who = user();
    await ends(who);
    now = T0 + 5_000;
    edge.answer = refuse("handle_unknown", "revoked");
    expect(await ends(who, B)).toBe("handle_unknown");
    expect(await ends(who)).toBe("handle_unknown");
    now = T0 + 15_000;
    expect(await ends(who)).toBe("handle_unknown");
    expect(edge.asked).toHaveLength(3);
  });

  test("of the target counts for that one alone", async () => {
    const who = user();
    edge.answer = refuse("target_not_allowed", "app may not");
    expect(await ends(who)).toBe("target_not_allowed");
    edge.answer = edge.grantAll;
    expect([await ends(who), await ends(who, B)]).toEqual(["target_not_allowed", "app"]);
    expect(edge.asked).toHaveLength(2);
  });

  test("keeps what the edge says of it", async () => {
    edge.answer = refuse("target_not_allowed", "app may not go to a.example.com");
    const who = user();
    for (let i = 0; i < 2; i++) {
      expect(await failure(who)).toMatchObject({
        code: "target_not_allowed",
        status: 403,
        reached: "no",
        detail: "app may not go to a.example.com",
      });
    }
  });
});

describe("what is revoked", () => {
  const AT = T0 / 1_000;
  const revoke = (cred: string, at = AT) => revocations.apply([revocation("handle", cred, { at })]);

  test("is asked for anew, for every target, and nothing else is", async () => {
    const [one, other] = [user(), user()];
    const cred = newRequestId();
    edge.answer = edge.grantWith({ cred });
    await ends(one, A);
    await ends(one, B);
    edge.answer = edge.grantWith({ cred: newRequestId() });
    await ends(other, A);
    await revoke(cred, AT - 5);
    edge.answer = refuse("handle_unknown", "revoked");
    expect([await ends(one, A), await ends(one, B), await ends(other, A)]).toEqual([
      "handle_unknown",
      "handle_unknown",
      "app",
    ]);
    expect(await metric("holdfast_proxy_grants")).toBe(1);
  });

  test("lets nobody in where the edge granted it all the same, and counts as a refusal", async () => {
    const who = user();
    const cred = newRequestId();
    edge.answer = edge.grantWith({ cred });
    await revoke(cred, AT - 10);
    expect([await ends(who, A), await ends(who, B)]).toEqual(["revoked", "revoked"]);
    expect(edge.asked).toHaveLength(1);
    // What is signed later shows that it stands again.
    now = T0 + 15_000;
    expect(await ends(who, A)).toBe("app");
  });

  test("leaves its user a stranger", async () => {
    const who = user();
    const cred = newRequestId();
    edge.answer = edge.grantWith({ cred });
    await ends(who);
    await revoke(cred);
    edge.answer = refuse("rate_limited", "slowly");
    // As many as an unknown one may ask, and one more at once.
    for (let i = 0; i < 20; i++) await ends(user(handle(), who.from));
    const before = edge.asked.length;
    expect(await ends(who)).toBe("rate_limited");
    expect(edge.asked).toHaveLength(before);
  });
});

describe("never asked is about", () => {
  test.each<[string, ErrorCode, () => Partial<ProxyUser>]>([
    ["a user that is no client's id", "proxy_credentials_invalid", () => ({ user: "App!" })],
    ["an empty user", "proxy_credentials_invalid", () => ({ user: "" })],
    ["a word for a password", "proxy_credentials_invalid", () => ({ credential: "letmein" })],
    ["an empty password", "proxy_credentials_invalid", () => ({ credential: "" })],
    ["a handle of another length", "proxy_credentials_invalid", () => ({ credential: `${handle()}a` })],
    ["a token of no JSON", "token_malformed", () => ({ credential: "abcd.efgh.ijkl" })],
    [
      "a token that is too long",
      "token_malformed",
      () => ({ credential: token({ more: "m".repeat(16_384) }) }),
    ],
    ["another kind of token", "token_type", () => ({ credential: token({}, { typ: TOKEN_TYPES.request }) })],
    [
      "a token for another edge",
      "token_audience",
      () => ({ credential: token({ aud: "https://other.example.com" }) }),
    ],
    ["a token for another door", "token_act", () => ({ credential: token({ act: "stream" }) })],
    ["a token that has expired", "token_expired", () => ({ credential: token({ iat: 1, exp: 2 }) })],
    [
      "a token from the future",
      "token_premature",
      () => ({ credential: token({ iat: T0 / 1_000 + 60, exp: T0 / 1_000 + 90 }) }),
    ],
    ["another client's token", "proxy_credentials_invalid", () => ({ credential: token({ iss: "other" }) })],
  ])("%s: %s", async (_, code, made) => {
    const error = await failure({ ...user(), ...made() });
    expect(error.code).toBe(code);
    expect(error.cause).toBeUndefined();
    expect(edge.asked).toEqual([]);
    expect(await metric(`holdfast_proxy_unasked_total{outcome="${code}"}`)).toBe(1);
    expect(logged()).toEqual([expect.objectContaining({ level: 20, reason: code, from: "192.0.2.1" })]);
  });

  test.each(["tcp://A.example.com:443", "https://a.example.com", "tcp://a.example.com:0", "x".repeat(300)])(
    "the target %s",
    async (target) => {
      expect(await ends(user(), target)).toBe("url_invalid");
      expect(edge.asked).toEqual([]);
    },
  );
});

describe("a flood", () => {
  test("from one sender reaches the edge so often, and known users don't feel it", async () => {
    const known = user();
    await ends(known);
    edge.answer = refuse("handle_unknown", "no such handle");
    const codes: string[] = [];
    for (let i = 0; i < 30; i++) codes.push(await ends(user(handle(), "2001:db8::1")));
    expect(codes).toEqual([
      ...Array<string>(20).fill("handle_unknown"),
      ...Array<string>(10).fill("rate_limited"),
    ]);
    expect(edge.asked).toHaveLength(21);
    const error = await failure(user(handle(), "2001:db8::ffff"));
    expect(error).toMatchObject({ code: "rate_limited", retryAfter: 1 });
    edge.answer = edge.grantAll;
    // Known, from the same place; and unknown, from another.
    expect(await ends({ ...known, from: "2001:db8::1" }, B)).toBe("app");
    expect(await ends(user(handle(), "2001:db8:0:1::1"))).toBe("app");
    now = T0 + 1_000;
    expect(await ends(user(handle(), "2001:db8::1"))).toBe("app");
  });

  test("from many senders reaches it so often, and known users don't feel it", async () => {
    const known = user();
    await ends(known);
    edge.answer = refuse("token_signature", "no");
    const codes = new Map<string, number>();
    for (let batch = 0; batch < 6; batch++) {
      const flood = Array.from({ length: 100 }, (_, i) => ends(user(token(), `198.51.${batch}.${i}`)));
      for (const code of await Promise.all(flood)) codes.set(code, (codes.get(code) ?? 0) + 1);
    }
    expect(Object.fromEntries(codes)).toEqual({ token_signature: 500, rate_limited: 100 });
    expect(edge.asked).toHaveLength(501);
    edge.answer = edge.grantAll;
    expect(await ends(user(handle(), "203.0.113.1"))).toBe("rate_limited");
    expect(await ends(known, B)).toBe("app");
  });

  test("of good credentials costs nothing in the end", async () => {
    for (let i = 0; i < 60; i++) expect(await ends(user())).toBe("app");
  });

  test("of a known client's refused targets is bounded too, and what it has goes on", async () => {
    const who = user();
    await ends(who);
    edge.answer = refuse("target_not_allowed", "no");
    const codes: string[] = [];
    for (let i = 0; i < 25; i++) codes.push(await ends(who, `tcp://t${i}.example.com:443`));
    expect(codes).toEqual([
      ...Array<string>(20).fill("target_not_allowed"),
      ...Array<string>(5).fill("rate_limited"),
    ]);
    edge.answer = edge.grantAll;
    now = T0 + 20_000;
    expect(await ends(who)).toBe("app");
  });

  test("of a known client's whom the edge puts off is bounded as well", async () => {
    const who = user();
    await ends(who);
    edge.answer = refuse("rate_limited", "too many");
    edge.asked.length = 0;
    for (let i = 0; i < 25; i++) expect(await ends(who, `tcp://t${i}.example.com:443`)).toBe("rate_limited");
    expect(edge.asked).toHaveLength(20);
    edge.answer = edge.grantAll;
    expect(await ends(who)).toBe("app");
    expect(await ends(user())).toBe("app");
  });

  test("of a known client's good targets leaves room for others", async () => {
    const [who, other] = [user(), user()];
    await ends(who);
    await ends(other);
    const { answer, release } = held(edge.grantAll);
    edge.answer = answer;
    const flood = Array.from({ length: 600 }, (_, i) => ends(who, `tcp://t${i}.example.com:443`));
    const next = ends(other, B);
    expect(await flood[599]).toBe("rate_limited");
    release();
    expect(await next).toBe("app");
    const ended = await Promise.all(flood);
    expect(ended.filter((end) => end === "app")).toHaveLength(200);
    expect(await ends(who, "tcp://t599.example.com:443")).toBe("app");
  });

  test("of questions at once is bounded", async () => {
    const { answer, release } = held(refuse("handle_unknown", "no"));
    edge.answer = answer;
    const flood = Array.from({ length: 251 }, (_, i) => ends(user(handle(), `198.51.100.${i}`)));
    expect(await flood[250]).toBe("rate_limited");
    release();
    expect(new Set(await Promise.all(flood.slice(0, 250)))).toEqual(new Set(["handle_unknown"]));
    expect(edge.asked).toHaveLength(250);
  });
});

describe("who comes while a question is under way", () => {
  test("joins it", async () => {
    const { answer, release } = held();
    edge.answer = answer;
    const who = user();
    const all = Array.from({ length: 50 }, () => ends(who));
    await asked(1);
    release();
    expect(new Set(await Promise.all(all))).toEqual(new Set(["app"]));
    expect(edge.asked).toHaveLength(1);
  });

  test("of an unknown credential waits until it is proven, whichever target is wanted", async () => {
    const { answer, release } = held();
    edge.answer = answer;
    const who = user();
    const all = Array.from({ length: 100 }, (_, i) => ends(who, `tcp://t${i}.example.com:443`));
    await asked(1);
    release();
    expect(new Set(await Promise.all(all))).toEqual(new Set(["app"]));
    expect(edge.asked).toHaveLength(100);
  });

  test("of one that turns out to be bad is refused with it", async () => {
    edge.answer = refuse("handle_unknown", "no");
    const who = user();
    const all = Array.from({ length: 100 }, (_, i) => ends(who, `tcp://t${i}.example.com:443`));
    expect(new Set(await Promise.all(all))).toEqual(new Set(["handle_unknown"]));
    expect(edge.asked).toHaveLength(1);
  });

  test("of one that nobody could judge hears so with it", async () => {
    edge.answer = refuse("registry_unavailable", "no answer");
    const who = user();
    const all = Array.from({ length: 10 }, (_, i) => ends(who, `tcp://t${i}.example.com:443`));
    expect(new Set(await Promise.all(all))).toEqual(new Set(["registry_unavailable"]));
    expect(edge.asked).toHaveLength(1);
  });

  test("ends its own waiting by its signal, and no other's", async () => {
    const { answer, release } = held();
    edge.answer = answer;
    const who = user();
    const gone = new AbortController();
    const first = ends(who, A, gone.signal);
    const second = ends(who);
    await asked(1);
    gone.abort(new Error("went away"));
    expect(await first).toBe("went away");
    release();
    expect(await second).toBe("app");
    expect(await ends(who, A, AbortSignal.abort(new Error("too late")))).toBe("too late");
    expect(edge.asked).toHaveLength(1);
  });

  test("hears soon that the node closes", async () => {
    edge.answer = () => {};
    const first = ends(user());
    await asked(1);
    await authorizer.close();
    expect(await first).toBe("authorization_unavailable");
    expect(await ends(user())).toBe("authorization_unavailable");
    expect(logged().filter(({ level }) => level > 20)).toEqual([]);
  });
});

describe("an answer lets nobody in that holds", () => {
  test.each<[string, string, Record<string, unknown>, Buffer?]>([
    ["a grant of another node's", "grant_node", { aud: "node-2" }],
    ["a grant for another target", "another_target", { target: B }],
    ["a grant for another client", "another_client", { sub: "other" }],
    ["a grant for a request", "grant_invalid", { act: "fetch" }],
    ["another edge's grant", "grant_invalid", { iss: "https://other.example.com" }],
    ["a grant that has expired", "grant_expired", { iat: T0 / 1_000 - 400, exp: T0 / 1_000 - 100 }],
    ["a grant for too long", "grant_invalid", { exp: T0 / 1_000 + 900 }],
    ["rules that can't be read", "request_invalid", { within: [["nonsense"]] }],
    ["a grant under another key", "grant_invalid", {}, randomBytes(32)],
  ])("%s", async (_, cause, changes, key) => {
    edge.answer = edge.grantWith(changes, ...(key === undefined ? [] : [hmac(key)]));
    const who = user();
    expect(await ends(who)).toBe("authorization_unavailable");
    expect(logged()).toContainEqual(
      expect.objectContaining({ level: 50, msg: "proxy grant not good here", cause }),
    );
    edge.answer = edge.grantAll;
    expect(await ends(who)).toBe("app");
  });

  test("a grant for another client than a token's, also where it came alone", async () => {
    edge.answer = edge.grantWith({ sub: "other" });
    expect(await ends({ ...user(token()), user: undefined })).toBe("authorization_unavailable");
  });
});

test("questions share connections that are kept", async () => {
  const before = edge.connections();
  for (let i = 0; i < 10; i++) await ends(user());
  expect(edge.connections() - before).toBe(1);
});
