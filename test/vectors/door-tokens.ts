import { DIGEST, EDGE, encode, NOW, REQUEST_ID, type Toolbox } from "./toolbox.ts";

/** How to read the file. */
const DESCRIPTION = [
  "Tokens of the doors besides POST /fetch: request tokens for streams, seed lists, deliveries and giving up, scope tokens, and what a node asks about a user of its proxy door. What every token has in common is in request-tokens.json.",
  "`authorization` is `Bearer ` and the token, wherever it stood, for a door that takes `kind` and `act`. It is judged at the time `now` (seconds since 1970; the case's own before the file's), by an edge whose origin is `edge`, for a client that has registered the key ed25519 of request-tokens.json, and whose scope tokens may live `scopeSeconds`. A token of the kind `node` comes from the node `fra-1`, the only one, whose key is that same one.",
  "`expect` holds the claims of a token that is taken; `error` the code of the refusal. Whether the url is a permitted target is not judged here, nor whether what a scope token allows can be read.",
];

const SCOPE_SECONDS = 90 * 86_400;

const REQUEST = {
  iss: "acme",
  aud: EDGE,
  act: "stream",
  iat: NOW - 10,
  exp: NOW + 50,
  jti: REQUEST_ID,
  htm: "GET",
  url: "tcp://db.example.com:5432",
};

const CALL = { htm: "POST", url: "https://api.example.com/v1/payments", framing: 2, digest: DIGEST };

const SCOPE = {
  iss: "acme",
  aud: EDGE,
  act: "stream",
  iat: NOW - 10,
  exp: NOW + 86_400,
  jti: REQUEST_ID,
  allow: ["tcp://db.example.com:5432"],
};

const MESSAGE = {
  iss: "fra-1",
  aud: EDGE,
  act: "authorize",
  iat: NOW - 10,
  exp: NOW + 20,
  jti: REQUEST_ID,
  digest: DIGEST,
};

type Changes = Readonly<Record<string, unknown>>;

interface Case {
  readonly name: string;
  readonly kind: "request" | "scope" | "node";
  /** The door's. */
  readonly act: string;
  readonly authorization: string;
  readonly expect?: object;
  readonly error?: string;
}

/** The content of door-tokens.json. */
export function doorTokenVectors({ private: keys, ed25519 }: Toolbox): object {
  const sign = (typ: string, claims: object) => {
    const input = `${encode({ alg: "Ed25519", typ: `holdfast-${typ}+jwt` })}.${encode(claims)}`;
    return `Bearer ${input}.${ed25519(keys.ed25519, input).toString("base64url")}`;
  };
  const made = (kind: Case["kind"], name: string, act: string, claims: object, typ: string) => ({
    name: `${kind}: ${name}`,
    kind,
    act,
    authorization: sign(typ, claims),
  });
  const request = (name: string, changes: Changes = {}, act = "stream"): Case => {
    const claims = { ...REQUEST, act, ...changes };
    return { ...made("request", name, act, claims, "request"), expect: claims };
  };
  const noRequest = (
    name: string,
    error: string,
    changes: Changes,
    act = "stream",
    typ = "request",
  ): Case => ({
    ...made("request", name, act, { ...REQUEST, act, ...changes }, typ),
    error,
  });
  const scope = (name: string, changes: Changes = {}, act = "stream"): Case => {
    const claims = { ...SCOPE, act, ...changes };
    return { ...made("scope", name, act, claims, "scope"), expect: claims };
  };
  const noScope = (
    name: string,
    error: string,
    changes: Changes,
    { typ = "scope", act = "stream" } = {},
  ): Case => ({
    ...made("scope", name, act, { ...SCOPE, act, ...changes }, typ),
    error,
  });
  const message = (name: string, changes: Changes = {}): Case => {
    const claims = { ...MESSAGE, ...changes };
    return { ...made("node", name, "authorize", claims, "node"), expect: claims };
  };
  const noMessage = (name: string, error: string, changes: Changes, typ = "node"): Case => ({
    ...made("node", name, "authorize", { ...MESSAGE, ...changes }, typ),
    error,
  });
  const resume = { stream: REQUEST_ID, received: 0, sent: 0 };
  const many = (count: number) => Array.from({ length: count }, (_, i) => `tcp://db-${i}.example.com:5432`);

  return {
    description: DESCRIPTION,
    edge: EDGE,
    now: NOW,
    scopeSeconds: SCOPE_SECONDS,
    cases: [
      request("a stream"),
      request("a stream, its framing said", { framing: "none" }),
      request("a stream that goes on", { node: "fra-1", resume }),
      request("a stream that goes on far in", {
        node: "fra-1",
        resume: { ...resume, received: Number.MAX_SAFE_INTEGER, sent: 5 },
      }),
      request("a seed list", { htm: "POST", url: "mongodb+srv://cluster0.ab1cd.example.com" }, "resolve"),
      request("giving a stream up", {}, "cancel"),
      ...["fetch", "resolve", "cancel", "proxy", ["stream"], null].map((act) =>
        noRequest(`a stream with act ${JSON.stringify(act)}`, "token_act", { act }),
      ),
      noRequest("giving up with the stream's own token", "token_act", { act: "stream" }, "cancel"),
      noRequest("a scope token", "token_type", {}, "stream", "scope"),
      ...["fetch", "resolve", "cancel"].map((act) =>
        noRequest(`resume with act ${act}`, "token_malformed", { resume }, act),
      ),
      ...[
        null,
        true,
        REQUEST_ID,
        [],
        {},
        { stream: REQUEST_ID },
        { ...resume, stream: REQUEST_ID.slice(1) },
        { ...resume, stream: 5 },
        { ...resume, sent: -1 },
        { ...resume, sent: 0.5 },
        { ...resume, received: "0" },
        { ...resume, received: 2 ** 53 },
        { ...resume, received: null },
      ].map((value) => noRequest(`resume ${JSON.stringify(value)}`, "token_malformed", { resume: value })),

      request("a stream that is parked", { park: true }),
      request("a stream that is expressly not", { park: false }),
      noRequest("park and resume", "token_malformed", { node: "fra-1", resume, park: true }),
      ...["fetch", "resolve", "cancel"].map((act) =>
        noRequest(`park with act ${act}`, "token_malformed", { park: true }, act),
      ),
      ...[null, 1, "true", {}].map((value) =>
        noRequest(`park ${JSON.stringify(value)}`, "token_malformed", { park: value }),
      ),

      request("a delivery", CALL, "enqueue"),
      request("a delivery of no body, its digest left out", { ...CALL, framing: "none" }, "enqueue"),
      ...[
        {},
        { key: "payment 1" },
        {
          key: "k".repeat(256),
          lane: "\u{1f6a2}".repeat(128),
          schedule: [0, 0.5, 604_800],
          callback: "https://a.example/",
        },
        { schedule: Array.from({ length: 50 }, () => 1) },
      ].map((delivery, n) => request(`a delivery, its options ${n + 1}`, { ...CALL, delivery }, "enqueue")),
      ...[
        null,
        "payment 1",
        [],
        { key: "" },
        { key: 1 },
        { key: "k".repeat(257) },
        { lane: "" },
        { lane: "l".repeat(257) },
        { schedule: [] },
        { schedule: 5 },
        { schedule: [-1] },
        { schedule: ["1"] },
        { schedule: [604_801] },
        { schedule: Array.from({ length: 51 }, () => 1) },
        { callback: "" },
        { callback: `https://a.example/${"a".repeat(8_192)}` },
        { callbackUrl: "https://a.example/" },
      ].map((delivery) =>
        noRequest(
          `a delivery, its options ${JSON.stringify(delivery).slice(0, 60)}`,
          "token_malformed",
          { ...CALL, delivery },
          "enqueue",
        ),
      ),
      noRequest("options of a delivery with act stream", "token_malformed", { delivery: {} }),
      noRequest("a delivery with the token of a fetch", "token_act", { ...CALL, act: "fetch" }, "enqueue"),
      request("how a delivery is", { url: `${EDGE}/deliveries/dlv_A${REQUEST_ID}` }, "delivery"),
      noRequest(
        "how a delivery is, with the token that made it",
        "token_act",
        { act: "enqueue" },
        "delivery",
      ),

      scope("the least that a token holds"),
      scope("several targets", { allow: ["tcp://*.example.com:5432", "https://api.example.com"] }),
      scope("as many targets as there may be", { allow: many(50) }),
      scope("a node", { node: "fra-1" }),
      scope("a choice of nodes", { node: ["fra-1", "fra-2"] }),
      scope("the longest life", { iat: NOW, exp: NOW + SCOPE_SECONDS }),
      scope("used as late as is allowed", { iat: NOW - 86_400, exp: NOW - 4 }),
      scope("signed by a clock as far ahead as is allowed", { iat: NOW + 5, exp: NOW + 65 }),
      scope("a claim that nobody knows is left alone", { note: "x" }),
      noScope("a second too long", "token_lifetime", { iat: NOW, exp: NOW + SCOPE_SECONDS + 1 }),
      noScope("exp before iat", "token_lifetime", { iat: NOW, exp: NOW - 1 }),
      noScope("expired", "token_expired", { iat: NOW - 86_400, exp: NOW - 5 }),
      noScope("signed in the future", "token_premature", { iat: NOW + 6, exp: NOW + 60 }),
      noScope("another edge's", "token_audience", { aud: "https://other.example.com" }),
      ...["fetch", "url", "proxy", undefined].map((act) =>
        noScope(`act ${JSON.stringify(act)}`, "token_act", { act }),
      ),
      ...["request", "grant", "admin"].map((typ) =>
        noScope(`a ${typ} token's typ`, "token_type", {}, { typ }),
      ),
      ...["iss", "jti", "iat", "exp", "allow"].map((name) =>
        noScope(`no ${name}`, "token_malformed", { [name]: undefined }),
      ),
      ...[null, [], {}, "tcp://db.example.com:5432", [5], [null]].map((allow) =>
        noScope(`allow ${JSON.stringify(allow)}`, "token_malformed", { allow }),
      ),
      noScope("too many targets", "token_malformed", { allow: many(51) }),
      ...[1, null, [], [1]].map((node) =>
        noScope(`node ${JSON.stringify(node)}`, "token_malformed", { node }),
      ),

      scope("for a proxy", {}, "proxy"),
      scope(
        "for a proxy, to origins, paths and hosts",
        {
          allow: [
            "https://api.example.com",
            "GET,HEAD http://legacy.example.com/v1/*",
            "tcp://*.example.com:22",
          ],
        },
        "proxy",
      ),
      ...["stream", "fetch", undefined].map((act) =>
        noScope(`at a proxy, act ${JSON.stringify(act)}`, "token_act", { act }, { act: "proxy" }),
      ),
      ...["request", "node"].map((typ) =>
        noScope(`at a proxy, a ${typ} token's typ`, "token_type", {}, { typ, act: "proxy" }),
      ),
      noScope("at a proxy, expired", "token_expired", { iat: NOW - 86_400, exp: NOW - 5 }, { act: "proxy" }),

      scope("for a relay URL", { allow: ["GET,POST https://api.example.com/v1/*"] }, "url"),
      scope(
        "for a relay URL, with the path itself",
        { allow: ["https://api.example.com/v1", "https://api.example.com/v1/*"] },
        "url",
      ),
      ...["stream", "proxy", "fetch", undefined].map((act) =>
        noScope(`at a relay URL, act ${JSON.stringify(act)}`, "token_act", { act }, { act: "url" }),
      ),

      message("a question"),
      message("used as late as is allowed", { iat: NOW - 34, exp: NOW - 4 }),
      message("signed by a clock as far ahead as is allowed", { iat: NOW + 5, exp: NOW + 35 }),
      ...["fra-2", "acme", undefined, ["fra-1"]].map((iss) =>
        noMessage(`iss ${JSON.stringify(iss)}`, "token_signature", { iss }),
      ),
      ...["fra-1", `${EDGE}/`, "https://other.example.com", undefined].map((aud) =>
        noMessage(`aud ${JSON.stringify(aud)}`, "token_audience", { aud }),
      ),
      ...["consumed", "consumed-read", "proxy", undefined].map((act) =>
        noMessage(`act ${JSON.stringify(act)}`, "token_act", { act }),
      ),
      ...["iat", "exp", "jti", "digest"].map((name) =>
        noMessage(`no ${name}`, "token_malformed", { [name]: undefined }),
      ),
      noMessage("a digest of another kind", "token_malformed", { digest: "md5=:AAAA:" }),
      noMessage("expired", "token_expired", { iat: NOW - 35, exp: NOW - 5 }),
      noMessage("signed in the future", "token_premature", { iat: NOW + 6, exp: NOW + 30 }),
      noMessage("a second too long", "token_lifetime", { iat: NOW, exp: NOW + 31 }),
      ...["request", "scope", "grant"].map((typ) => noMessage(`a ${typ} token's typ`, "token_type", {}, typ)),
    ],
  };
}
