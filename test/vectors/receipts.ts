import { createHmac, createPublicKey, type KeyObject } from "node:crypto";
import { EDGE, encode, NOW, REQUEST_ID, type Toolbox } from "./toolbox.ts";

/** How to read the file. */
const DESCRIPTION = [
  "Receipts, as they come in Relay-Receipt on a target's answer.",
  "cases: `receipt` is judged by the caller whose call `call` describes (the case's own members before the file's): the node that the answer's Relay-Node names, the edge's origin, the client's id, the token's jti, the method, the target's host (with its port where it is not the scheme's own) and the answer's status. `keys` are public keys by their name; the node has published those that the case's `published` names, else `node` alone.",
  "`expect` holds the claims of a receipt that is taken; all others are refused with `receipt_invalid`. All keys are for tests alone.",
];

const NODE = "fra-1";
const HEADER = { alg: "Ed25519", typ: "holdfast-receipt+jwt", kid: NODE };

const CLAIMS = {
  iss: NODE,
  aud: EDGE,
  sub: "acme",
  jti: REQUEST_ID,
  iat: NOW,
  htm: "POST",
  target: "api.bank.example",
  egress: "203.0.113.10",
  dialed: "192.0.2.80",
  tls: "TLSv1.3",
  status: 200,
  bytes_up: 12,
  bytes_down: 34,
};

const CALL = {
  node: NODE,
  edge: EDGE,
  clientId: "acme",
  jti: REQUEST_ID,
  method: "POST",
  target: "api.bank.example",
  status: 200,
};

interface Case {
  readonly name: string;
  readonly receipt: string;
  readonly published?: readonly string[];
  readonly call?: Partial<Record<keyof typeof CALL, unknown>>;
  readonly expect?: object;
}

type Changes = Readonly<Record<string, unknown>>;

/** The content of receipts.json. */
export function receiptVectors({ private: keys, ed25519 }: Toolbox): object {
  const own = keys.ed25519;
  const compact = (header: unknown, payload: unknown, sign: (input: string) => Buffer) => {
    const input = `${encode(header)}.${encode(payload)}`;
    return `${input}.${encode(sign(input))}`;
  };
  const by =
    (key: KeyObject): ((input: string) => Buffer) =>
    (input) =>
      ed25519(key, input);
  const taken = (name: string, changes: Changes = {}, more: Partial<Case> = {}): Case => {
    const claims = { ...CLAIMS, ...changes };
    return { name, receipt: compact(HEADER, claims, by(own)), ...more, expect: claims };
  };
  const refused = (name: string, changes: Changes, more: Partial<Case> = {}): Case => ({
    name,
    receipt: compact(HEADER, { ...CLAIMS, ...changes }, by(own)),
    ...more,
  });
  const raw = (name: string, receipt: string, more: Partial<Case> = {}): Case => ({ name, receipt, ...more });
  const good = compact(HEADER, CLAIMS, by(own));
  const [header, payload, signature] = good.split(".") as [string, string, string];
  const jwk = (key: KeyObject) => {
    const { kty, crv, x } = createPublicKey(key).export({ format: "jwk" });
    return { kty, crv, x };
  };

  return {
    description: DESCRIPTION,
    keys: {
      node: jwk(own),
      next: jwk(keys["ed25519-next"]),
    },
    call: CALL,
    cases: [
      taken("a call by https"),
      taken("plain http, a length that nobody knows", { tls: null, bytes_up: 0, bytes_down: null }),
      taken("IPv6 on both ends", { egress: "2001:db8::10", dialed: "2001:db8:1::80" }),
      taken(
        "a port, another method",
        { target: "api.bank.example:8443", htm: "GET" },
        {
          call: { target: "api.bank.example:8443", method: "GET" },
        },
      ),
      taken("a claim that nobody knows is left alone", { note: "x" }),
      taken("a target's refusal", { status: 999 }, { call: { status: 999 } }),
      taken("one of two published keys", {}, { published: ["next", "node"] }),

      ...[
        ["iss", "fra-2"],
        ["aud", "https://other.example.com"],
        ["sub", "other"],
        ["jti", "BBECAwQFBgcICQoLDA0ODw"],
        ["htm", "GET"],
        ["target", "api.bank.example:443"],
        ["status", 201],
      ].map(([name, value]) => refused(`another ${name}`, { [name as string]: value })),
      refused("the receipt of another node", {}, { call: { node: "fra-2" } }),
      ...Object.keys(CLAIMS).flatMap((name) => [
        refused(`no ${name}`, { [name]: undefined }),
        refused(`${name} of another type`, { [name]: [] }),
      ]),
      refused("a length below zero", { bytes_down: -1 }),
      refused("a time with fractions", { iat: NOW + 0.5 }),

      raw("empty", ""),
      raw("two parts", `${header}.${payload}`),
      raw("four parts", `${good}.x`),
      raw("two receipts", `${good}, ${good}`),
      raw("an empty signature", `${header}.${payload}.`),
      raw("a truncated signature", good.slice(0, -4)),
      raw(
        "claims changed after signing",
        `${header}.${encode({ ...CLAIMS, egress: "198.51.100.1" })}.${signature}`,
      ),
      raw("longer than is looked at", compact(HEADER, { ...CLAIMS, note: "x".repeat(13_000) }, by(own))),
      raw("signed by a stranger", compact(HEADER, CLAIMS, by(keys.stranger))),
      raw("no key is published", good, { published: [] }),
      raw("another node's key", good, { published: ["next"] }),
      raw("alg none", `${encode({ ...HEADER, alg: "none" })}.${payload}.${signature}`),
      raw(
        "alg HS256 under the published key",
        compact({ ...HEADER, alg: "HS256" }, CLAIMS, (input) =>
          createHmac("sha256", Buffer.from(jwk(own).x!, "base64url"))
            .update(input)
            .digest(),
        ),
      ),
      raw("no typ", compact({ alg: "Ed25519", kid: NODE }, CLAIMS, by(own))),
      raw(
        "typ of a message between nodes",
        compact({ ...HEADER, typ: "holdfast-node+jwt" }, CLAIMS, by(own)),
      ),
      raw("no kid", compact({ alg: HEADER.alg, typ: HEADER.typ }, CLAIMS, by(own))),
      raw("kid of another node", compact({ ...HEADER, kid: "fra-2" }, CLAIMS, by(own))),
      raw(
        "a critical extension that nobody knows",
        compact({ ...HEADER, crit: ["x"], x: 1 }, CLAIMS, by(own)),
      ),
      raw("a payload that is null", compact(HEADER, null, by(own))),
      raw("a payload that is no JSON", compact(HEADER, "{", by(own))),
    ],
  };
}
