import { createHmac, createPublicKey, type KeyObject } from "node:crypto";
import { DIGEST, EDGE, encode, NOW, REQUEST_ID, type Toolbox } from "./toolbox.ts";

/** How to read the file. */
const DESCRIPTION = [
  "Request tokens, as they come in Relay-Authorization to POST /fetch at the edge.",
  "`authorization` is the field's value (null: no such field; repeated fields arrive joined by a comma). It is judged at the time `now` (seconds since 1970; the case's own before the file's), by an edge whose origin is `edge`, for a client that has registered the public keys that `keys` names (the case's own list, else ed25519 alone). A key is used with its own algorithm, whatever a token says.",
  "`expect` holds the claims of a token that is taken; `error` the code of the refusal. Each refused case breaks one rule, so the order of the checks does not matter. Whether the url is a permitted target, and whether the jti was used before, is not judged here.",
  "keys: `alg`, the public JWK, and the private key as HOLDFAST_URL carries it. All of them are for tests alone.",
];

const HEADER = { alg: "Ed25519", typ: "holdfast-request+jwt" };

const CLAIMS = {
  iss: "acme",
  aud: EDGE,
  act: "fetch",
  iat: NOW - 10,
  exp: NOW + 50,
  jti: REQUEST_ID,
  htm: "GET",
  url: "https://api.bank.example/v1/%7Ex?a=b",
};

interface Case {
  readonly name: string;
  readonly authorization: string | null;
  readonly keys?: readonly string[];
  readonly now?: number;
  readonly expect?: object;
  readonly error?: string;
}

type Changes = Readonly<Record<string, unknown>>;

/** The content of request-tokens.json. */
export function requestTokenVectors(toolbox: Toolbox): object {
  const { private: keys } = toolbox;
  const compact = (header: unknown, payload: unknown, key: KeyObject = keys.ed25519) => {
    const input = `${encode(header)}.${encode(payload)}`;
    return `${input}.${toolbox.ed25519(key, input).toString("base64url")}`;
  };
  const taken = (name: string, changes: Changes = {}, more: Partial<Case> = {}): Case => {
    const claims = { ...CLAIMS, ...changes };
    return { name, authorization: `Bearer ${compact(HEADER, claims)}`, ...more, expect: claims };
  };
  const refused = (name: string, error: string, changes: Changes, more: Partial<Case> = {}): Case => ({
    name,
    authorization: `Bearer ${compact(HEADER, { ...CLAIMS, ...changes })}`,
    ...more,
    error,
  });
  const raw = (
    name: string,
    error: string,
    authorization: string | null,
    more: Partial<Case> = {},
  ): Case => ({
    name,
    authorization,
    ...more,
    error,
  });
  const good = compact(HEADER, CLAIMS);

  return {
    description: DESCRIPTION,
    edge: EDGE,
    now: NOW,
    keys: Object.fromEntries(Object.entries(keys).map(([name, key]) => [name, published(key)])),
    cases: [
      taken("the least that a token holds"),
      taken("every claim there is", {
        framing: 12,
        digest: DIGEST,
        node: "fra-1",
        htm: "POST",
        idempotent: true,
        receipt: false,
      }),
      taken("a claim that nobody knows is left alone", { note: "x" }),
      taken("one second of life", { iat: NOW, exp: NOW + 1 }),
      taken("no life but the leeway", { iat: NOW, exp: NOW }),
      taken("the longest life", { iat: NOW, exp: NOW + 60 }),
      taken("signed by a clock as far ahead as is allowed", { iat: NOW + 5, exp: NOW + 65 }),
      taken("used as late as is allowed", { iat: NOW - 64, exp: NOW - 4 }),
      taken("the same by the receiver's clock", {}, { now: CLAIMS.exp + 4 }),
      taken("a fraction of a second before it is too late", {}, { now: CLAIMS.exp + 4.999 }),
      taken("the scheme in another case", {}, { authorization: `bearer ${good}` }),
      taken("framing: no body", { framing: "none" }),
      taken("framing: chunked", { framing: "chunked" }),
      taken("framing: a length of 0", { framing: 0 }),
      taken("framing: the largest length", { framing: Number.MAX_SAFE_INTEGER }),
      taken("a method of 32 characters, with all signs", { htm: "!#$%&'*+-.^_`|~09azAZ-----------" }),
      taken("a method in lower case is another method", { htm: "get" }),
      taken("a client id of 63 characters", { iss: "a".repeat(63) }),
      taken("the current key of two", {}, { keys: ["ed25519", "ed25519-next"] }),
      taken("the next key of two", {}, { keys: ["ed25519-next", "ed25519"] }),
      taken("the longest token", { note: padding(16_384, compact) }),
      taken(
        "alg EdDSA, the older name of the same",
        {},
        { authorization: `Bearer ${compact({ ...HEADER, alg: "EdDSA" }, CLAIMS)}` },
      ),
      es256(toolbox, "ES256"),
      { ...es256(toolbox, "ES256 beside another key"), keys: ["ed25519", "es256"] },

      raw("no field", "token_missing", null),
      raw("an empty field", "token_missing", ""),
      raw("no token", "token_malformed", "Bearer "),
      raw("no scheme", "token_malformed", good),
      raw("another scheme", "token_malformed", `Basic ${good}`),
      raw("two spaces", "token_malformed", `Bearer  ${good}`),
      raw("a space behind it", "token_malformed", `Bearer ${good} `),
      raw("a line end behind it", "token_malformed", `Bearer ${good}\n`),
      raw("the field twice", "token_malformed", `Bearer ${good}, Bearer ${good}`),
      raw("a parameter", "token_malformed", `Bearer ${good}; x=y`),
      raw("one part", "token_malformed", `Bearer ${encode(CLAIMS)}`),
      raw("two parts", "token_malformed", `Bearer ${good.split(".").slice(0, 2).join(".")}`),
      raw("four parts", "token_malformed", `Bearer ${good}.x`),
      raw("five parts, as an encrypted token has", "token_malformed", `Bearer ${good}.x.y`),
      raw("an empty signature", "token_malformed", `Bearer ${good.replace(/[^.]*$/, "")}`),
      raw("an empty payload", "token_malformed", `Bearer ${good.replace(/\..*\./, "..")}`),
      raw("a padded signature", "token_malformed", `Bearer ${good}==`),
      raw("a padded payload", "token_malformed", `Bearer ${good.replace(/\.[^.]*$/, "=$&")}`),
      raw("the other base64's signs", "token_malformed", `Bearer ${good.replace(/.{4}$/, "+/+/")}`),
      raw(
        "a payload of a length that base64 cannot have",
        "token_malformed",
        `Bearer ${good.replace(/\..*\./, ".AAAAA.")}`,
      ),
      raw("a header that is no JSON", "token_malformed", `Bearer ${compact("x", CLAIMS)}`),
      raw("a header that is a list", "token_malformed", `Bearer ${compact([HEADER], CLAIMS)}`),
      raw("a payload that is no JSON", "token_malformed", `Bearer ${compact(HEADER, "{")}`),
      raw("a payload that is a list", "token_malformed", `Bearer ${compact(HEADER, [CLAIMS])}`),
      raw("a payload that is a string", "token_malformed", `Bearer ${compact(HEADER, '"x"')}`),
      raw("a payload that is null", "token_malformed", `Bearer ${compact(HEADER, null)}`),
      raw(
        "a payload that is no UTF-8",
        "token_malformed",
        `Bearer ${compact(HEADER, Buffer.from(JSON.stringify({ ...CLAIMS, note: "\u00ff" }), "latin1"))}`,
      ),
      raw(
        "an unencoded payload (RFC 7797 section 7 keeps it from JWTs)",
        "token_malformed",
        `Bearer ${compact({ ...HEADER, b64: false, crit: ["b64"] }, CLAIMS)}`,
      ),
      refused("one byte or two too long", "token_malformed", { note: `${padding(16_384, compact)}xx` }),

      raw("no typ", "token_type", `Bearer ${compact({ alg: "Ed25519" }, CLAIMS)}`),
      ...[
        "JWT",
        "holdfast-admin+jwt",
        "holdfast-grant+jwt",
        "HOLDFAST-REQUEST+JWT",
        "application/holdfast-request+jwt",
      ].map((typ) => raw(`typ ${typ}`, "token_type", `Bearer ${compact({ ...HEADER, typ }, CLAIMS)}`)),
      raw("typ as a list", "token_type", `Bearer ${compact({ ...HEADER, typ: [HEADER.typ] }, CLAIMS)}`),

      ...Object.keys(CLAIMS).map((name) => refused(`no ${name}`, missing(name), { [name]: undefined })),
      ...["iss", "jti", "htm", "url"].map((name) =>
        refused(`${name} as a number`, "token_malformed", { [name]: 1 }),
      ),
      ...["", "Acme", "-acme", "a b", "acme\n", "__proto__", "ä", "a".repeat(64)].map((iss) =>
        refused(`iss ${JSON.stringify(iss)}`, "token_malformed", { iss }),
      ),
      ...[
        "https://other.example.com",
        `${EDGE}/`,
        `${EDGE}:443`,
        "http://edge.example.com",
        "https://EDGE.example.com",
        "edge.example.com",
        "",
        [EDGE],
        null,
      ].map((aud) => refused(`aud ${JSON.stringify(aud)}`, "token_audience", { aud })),
      ...["admin", "stream", "Fetch", "", ["fetch"]].map((act) =>
        refused(`act ${JSON.stringify(act)}`, "token_act", { act }),
      ),

      refused("expired by a second beyond the leeway", "token_expired", { iat: NOW - 66, exp: NOW - 6 }),
      refused("expired at the border of the leeway", "token_expired", { iat: NOW - 65, exp: NOW - 5 }),
      refused("the same by the receiver's clock", "token_expired", {}, { now: CLAIMS.exp + 5 }),
      refused("signed in the future", "token_premature", { iat: NOW + 6, exp: NOW + 60 }),
      refused("signed far in the future", "token_premature", { iat: NOW + 3_600, exp: NOW + 3_660 }),
      refused("a life of 61 seconds", "token_lifetime", { iat: NOW - 1, exp: NOW + 60 }),
      refused("a life of an hour", "token_lifetime", { iat: NOW, exp: NOW + 3_600 }),
      refused("exp before iat", "token_lifetime", { iat: NOW, exp: NOW - 1 }),
      refused("times in milliseconds", "token_lifetime", { iat: NOW * 1_000, exp: NOW * 1_000 + 60_000 }),
      ...[NOW + 0.5, String(NOW), null, 2 ** 53].flatMap((time) => [
        refused(`iat ${JSON.stringify(time)}`, "token_malformed", { iat: time }),
        refused(`exp ${JSON.stringify(time)}`, "token_malformed", { exp: time }),
      ]),

      ...[
        ["of 21 characters", REQUEST_ID.slice(1)],
        ["of 23 characters", `A${REQUEST_ID}`],
        ["with unused bits set", `${REQUEST_ID.slice(0, -1)}x`],
        ["with all unused bits set", `${REQUEST_ID.slice(0, -1)}_`],
        ["padded", `${REQUEST_ID}==`],
        ["with the other base64's signs", `+/${REQUEST_ID.slice(2)}`],
        ["with a line end", `${REQUEST_ID}\n`],
        ["empty", ""],
        ["as a UUID", "00010203-0405-0607-0809-0a0b0c0d0e0f"],
      ].map(([what, jti]) => refused(`jti ${what}`, "token_malformed", { jti })),
      ...["", "GET ", "G ET", "GET\r\nX: y", "GÈT", "G:T", "GET/", "a".repeat(33)].map((htm) =>
        refused(`htm ${JSON.stringify(htm)}`, "token_malformed", { htm }),
      ),
      ...["CONNECT", "connect", "TRACE", "Trace"].map((htm) =>
        refused(`htm ${htm}`, "token_malformed", { htm }),
      ),
      ...[
        "",
        DIGEST.slice("sha-256=:".length, -1),
        DIGEST.replace("sha-256", "sha-512"),
        DIGEST.replace("sha-256", "SHA-256"),
        DIGEST.replace("=:47", "=:"),
        DIGEST.replace("U=:", "U:"),
        DIGEST.replaceAll("+", "-"),
        `${DIGEST}, ${DIGEST}`,
        `${DIGEST};x`,
        1,
        null,
      ].map((digest) => refused(`digest ${JSON.stringify(digest)}`, "token_malformed", { digest })),
      ...["", "NONE", "gzip, chunked", "12", -1, 1.5, 2 ** 53, null, true, []].map((framing) =>
        refused(`framing ${JSON.stringify(framing)}`, "token_malformed", { framing }),
      ),
      taken("a choice of nodes", { node: ["fra-1", "fra-2"] }),
      ...["idempotent", "receipt"].map((name) =>
        refused(`${name} that is no boolean`, "token_malformed", { [name]: 1 }),
      ),
      ...[1, null, [], [1], Array.from({ length: 17 }, () => "fra-1")].map((node) =>
        refused(`node ${JSON.stringify(node)}`, "token_malformed", { node }),
      ),

      ...forgeries(toolbox, good, compact),
    ],
  };
}

/** Tokens whose claims are good and whose proof is not. Whatever is wrong with it, the answer is the same. */
function forgeries(
  toolbox: Toolbox,
  good: string,
  compact: (header: unknown, payload: unknown, key?: KeyObject) => string,
): Case[] {
  const { private: keys } = toolbox;
  const forged = (name: string, token: string, accepted?: readonly string[]): Case => ({
    name,
    authorization: `Bearer ${token}`,
    ...(accepted !== undefined && { keys: accepted }),
    error: "token_signature",
  });
  const input = good.slice(0, good.lastIndexOf("."));
  const signature = Buffer.from(good.slice(input.length + 1), "base64url");
  const signed = (bytes: Buffer) => `${input}.${bytes.toString("base64url")}`;
  const hmac = (secret: Buffer | string) => {
    const hmacInput = `${encode({ ...HEADER, alg: "HS256" })}.${encode(CLAIMS)}`;
    return `${hmacInput}.${createHmac("sha256", secret).update(hmacInput).digest("base64url")}`;
  };
  const publicKey = createPublicKey(keys.ed25519);
  const curve = createPublicKey(keys.es256).export({ format: "jwk" });
  const es = es256(toolbox, "ES256 against an Ed25519 key").authorization!.slice("Bearer ".length);
  const esInput = es.slice(0, es.lastIndexOf("."));

  return [
    forged("no key is registered", good, []),
    forged("another key's signature", compact(HEADER, CLAIMS, keys.stranger)),
    forged(
      "another key, sent along in the header",
      compact(
        { ...HEADER, jwk: createPublicKey(keys.stranger).export({ format: "jwk" }) },
        CLAIMS,
        keys.stranger,
      ),
    ),
    forged(
      "a signature with one bit changed",
      signed(Buffer.from(signature.map((byte, at) => (at === 0 ? byte ^ 1 : byte)))),
    ),
    forged("a truncated signature", signed(signature.subarray(0, 63))),
    forged("a lengthened signature", signed(Buffer.concat([signature, Buffer.alloc(1)]))),
    forged("a signature of zeros", signed(Buffer.alloc(64))),
    forged("a signature whose S is not reduced (RFC 8032 section 5.1.7)", signed(unreduced(signature))),
    forged(
      "claims changed after signing",
      `${encode(HEADER)}.${encode({ ...CLAIMS, htm: "DELETE" })}.${good.split(".")[2]}`,
    ),
    forged(
      "a header changed after signing",
      `${encode({ ...HEADER, kid: "x" })}.${encode(CLAIMS)}.${good.split(".")[2]}`,
    ),
    forged("alg none", `${encode({ ...HEADER, alg: "none" })}.${encode(CLAIMS)}.${good.split(".")[2]}`),
    forged("no alg", compact({ typ: HEADER.typ }, CLAIMS)),
    forged("alg EdDSA against a P-256 key", compact({ ...HEADER, alg: "EdDSA" }, CLAIMS), ["es256"]),
    forged("alg ES256 over an Ed25519 signature", compact({ ...HEADER, alg: "ES256" }, CLAIMS)),
    forged("a critical extension that nobody knows", compact({ ...HEADER, crit: ["x"], x: 1 }, CLAIMS)),
    forged(
      "alg HS256 under the public key's bytes",
      hmac(Buffer.from(publicKey.export({ format: "jwk" }).x!, "base64url")),
    ),
    forged("alg HS256 under the public key's text", hmac(publicKey.export({ format: "jwk" }).x!)),
    forged("alg HS256 under the public key as PEM", hmac(publicKey.export({ format: "pem", type: "spki" }))),
    forged(
      "alg HS256 under the P-256 public key's bytes",
      hmac(
        Buffer.concat([
          Buffer.from([4]),
          Buffer.from(curve.x!, "base64url"),
          Buffer.from(curve.y!, "base64url"),
        ]),
      ),
      ["es256"],
    ),
    forged("ES256 against an Ed25519 key", es),
    forged("Ed25519 against an ES256 key", good, ["es256"]),
    forged("ES256 with r and s of zero", `${esInput}.${Buffer.alloc(64).toString("base64url")}`, ["es256"]),
    forged(
      "ES256 in DER",
      `${esInput}.${toDer(Buffer.from(es.slice(esInput.length + 1), "base64url")).toString("base64url")}`,
      ["es256"],
    ),
  ];
}

function es256({ private: keys, es256: signEs256 }: Toolbox, name: string): Case {
  const input = `${encode({ ...HEADER, alg: "ES256" })}.${encode(CLAIMS)}`;
  const signature = signEs256(keys.es256, input, name).toString("base64url");
  return { name, authorization: `Bearer ${input}.${signature}`, keys: ["es256"], expect: CLAIMS };
}

function published(key: KeyObject): object {
  const { d, ...publicJwk } = key.export({ format: "jwk" });
  const alg = publicJwk.kty === "EC" ? "ES256" : "Ed25519";
  return { alg, publicJwk, privateKey: `${alg === "ES256" ? "es256." : ""}${d}` };
}

function missing(name: string): string {
  if (name === "aud") return "token_audience";
  return name === "act" ? "token_act" : "token_malformed";
}

/** A claim's filling by which the token gets as long as it may be. */
function padding(length: number, compact: (header: unknown, payload: unknown) => string): string {
  let filling = "x".repeat(length / 2);
  while (compact(HEADER, { ...CLAIMS, note: `${filling}x` }).length <= length) filling += "x";
  return filling;
}

/** Adds the group's order to S: the same point, another spelling, which a strict verifier refuses. */
function unreduced(signature: Buffer): Buffer {
  const order = 2n ** 252n + 27742317777372353535851937790883648493n;
  const s = BigInt(`0x${Buffer.from(signature.subarray(32).toReversed()).toString("hex")}`) + order;
  return Buffer.concat([
    signature.subarray(0, 32),
    Buffer.from(s.toString(16).padStart(64, "0"), "hex").toReversed(),
  ]);
}

function toDer(signature: Buffer): Buffer {
  const integer = (bytes: Buffer) => {
    const trimmed = bytes.subarray(bytes.findIndex((byte) => byte !== 0));
    const content = trimmed[0]! >= 0x80 ? Buffer.concat([Buffer.alloc(1), trimmed]) : trimmed;
    return Buffer.concat([Buffer.from([2, content.length]), content]);
  };
  const body = Buffer.concat([integer(signature.subarray(0, 32)), integer(signature.subarray(32))]);
  return Buffer.concat([Buffer.from([0x30, body.length]), body]);
}
