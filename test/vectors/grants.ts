import { createHmac } from "node:crypto";
import { DIGEST, EDGE, encode, NOW, REQUEST_ID, type Toolbox } from "./toolbox.ts";

/** How to read the file. */
const DESCRIPTION = [
  "Grants, as they come in Relay-Authorization from the edge to a node.",
  "derived: the 32-byte key of a node is HKDF-SHA-256 (RFC 5869) of the edge's master key with an empty salt and the info `holdfast grant v1`, a line feed, and the node's id. Keys are in base64url.",
  "cases: `authorization` is judged at the time `now` (seconds since 1970; the case's own before the file's) by the node `node` of the edge `edge`, which holds the derived keys that `keys` names (the case's own list, else `current` alone): its own, from the master key of that name.",
  "`expect` holds the claims of a grant that is taken; `error` the code of the refusal. Whether the jti was used before is not judged here. All keys are for tests alone.",
];

const NODE = "fra-1";
/** Some key's thumbprint. */
const KEY = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
const HEADER = { alg: "HS256", typ: "holdfast-grant+jwt" };

const CLAIMS = {
  iss: EDGE,
  aud: NODE,
  sub: "acme",
  act: "fetch",
  iat: NOW - 5,
  exp: NOW + 25,
  jti: REQUEST_ID,
  tat: NOW - 10,
  htm: "GET",
  url: "https://api.bank.example/v1/%7Ex?a=b",
  framing: "none",
  pass: "AAECAwQFBgc",
  attempt: 0,
};

const PIN = `sha256/${"A".repeat(43)}=`;

interface Case {
  readonly name: string;
  readonly authorization: string;
  readonly keys?: readonly string[];
  readonly now?: number;
  readonly expect?: object;
  readonly error?: string;
}

type Changes = Readonly<Record<string, unknown>>;

/** The content of grants.json. */
export function grantVectors({ masters, derive }: Toolbox): object {
  const own = derive(masters.current, NODE);
  const compact = (header: unknown, payload: unknown, key = own, hash = "sha256") => {
    const input = `${encode(header)}.${encode(payload)}`;
    return `${input}.${createHmac(hash, key).update(input).digest("base64url")}`;
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
  const raw = (name: string, authorization: string, error = "grant_invalid"): Case => ({
    name,
    authorization,
    error,
  });
  const good = compact(HEADER, CLAIMS);
  const signature = good.split(".")[2]!;

  return {
    description: DESCRIPTION,
    edge: EDGE,
    node: NODE,
    now: NOW,
    masters: { current: masters.current.toString("base64url"), next: masters.next.toString("base64url") },
    derived: Object.entries(masters).flatMap(([master, bytes]) =>
      [NODE, "fra-2", "FRA-1", "a", "node-with-a-long-name.example.com"].map((node) => ({
        master,
        node,
        key: derive(bytes, node).toString("base64url"),
      })),
    ),
    cases: [
      taken("a request without a body"),
      taken("a request with one", { htm: "POST", framing: 12, digest: DIGEST }),
      taken("every claim there is", {
        htm: "POST",
        framing: 12,
        digest: DIGEST,
        attempt: 2,
        idempotent: true,
        receipt: true,
        tail: 3,
        limits: { rate: 10.5, concurrent: 4, bytes: 1e6 },
      }),
      taken("of a request token", { key: KEY }),
      taken("of a scope token or a handle", { key: KEY, cred: REQUEST_ID }),
      ...["", KEY.slice(1), `${KEY}A`, `${KEY.slice(1)}=`, 5, null, [KEY]].map((key) =>
        refused(`key ${JSON.stringify(key)}`, "grant_invalid", { key }),
      ),
      ...["", `${REQUEST_ID.slice(0, -1)}x`, KEY, 5, null].map((cred) =>
        refused(`cred ${JSON.stringify(cred)}`, "grant_invalid", { key: KEY, cred }),
      ),
      taken("limits in part", { limits: { rate: 1 } }),
      taken("every rule of TLS", { tls: { ca: ["MAA="], pins: [PIN], min: "TLSv1.3" } }),
      ...[
        null,
        "TLSv1.3",
        { min: "TLSv1.1" },
        { max: "TLSv1.3" },
        { ca: [] },
        { ca: "MAA=" },
        { ca: ["MA"] },
        { ca: ["-----BEGIN CERTIFICATE-----"] },
        { ca: ["A".repeat(8_196)] },
        { pins: [] },
        { pins: [PIN.slice(7)] },
        { pins: [PIN.replace("A=", "B=")] },
        { pins: Array.from({ length: 9 }, () => PIN) },
      ].map((tls) => refused(`tls ${JSON.stringify(tls).slice(0, 60)}`, "grant_invalid", { tls })),
      ...[{ rate: 0 }, { rate: -1 }, { concurrent: "4" }, null, 5].map((limits) =>
        refused(`limits ${JSON.stringify(limits)}`, "grant_invalid", { limits }),
      ),
      ...[-1, 1.5, 17, "3"].map((tail) => refused(`tail ${JSON.stringify(tail)}`, "grant_invalid", { tail })),
      ...["", "AAEC", "AAECAwQFBgc=", "A".repeat(23), 5].map((pass) =>
        refused(`pass ${JSON.stringify(pass)}`, "grant_invalid", { pass }),
      ),
      refused("an attempt that is no count", "grant_invalid", { attempt: -1 }),
      refused("idempotent that is no boolean", "grant_invalid", { idempotent: 1 }),
      refused("receipt that is no boolean", "grant_invalid", { receipt: "yes" }),
      taken("a chunked body", { htm: "POST", framing: "chunked" }),
      taken("a claim that nobody knows is left alone", { note: "x" }),
      taken("signed by a clock as far ahead as is allowed", { iat: NOW + 5, exp: NOW + 35 }),
      taken("begun as late as is allowed", { iat: NOW - 34, exp: NOW - 4 }),
      taken("the next key of two", {}, { keys: ["next", "current"] }),
      taken("the current key of two", {}, { keys: ["current", "next"] }),

      raw("an empty field", "", "grant_missing"),
      raw("no scheme", good),
      raw("another scheme", `Basic ${good}`),
      raw("the field twice", `Bearer ${good}, Bearer ${good}`),
      raw("a space behind it", `Bearer ${good} `),
      raw("two parts", `Bearer ${good.split(".").slice(0, 2).join(".")}`),
      raw("four parts", `Bearer ${good}.x`),
      raw("an empty signature", `Bearer ${good.slice(0, -signature.length)}`),
      raw("a padded signature", `Bearer ${good}=`),
      raw("a truncated signature", `Bearer ${good.slice(0, -4)}`),
      raw(
        "claims changed after signing",
        `Bearer ${encode(HEADER)}.${encode({ ...CLAIMS, sub: "other" })}.${signature}`,
      ),
      raw("longer than is looked at", `Bearer ${compact(HEADER, { ...CLAIMS, note: "x".repeat(25_000) })}`),
      raw("alg none", `Bearer ${encode({ ...HEADER, alg: "none" })}.${encode(CLAIMS)}.${signature}`),
      raw(
        "alg HS512 under the same key",
        `Bearer ${compact({ ...HEADER, alg: "HS512" }, CLAIMS, own, "sha512")}`,
      ),
      raw("no alg", `Bearer ${compact({ typ: HEADER.typ }, CLAIMS)}`),
      raw("no typ", `Bearer ${compact({ alg: "HS256" }, CLAIMS)}`),
      raw("typ of a request token", `Bearer ${compact({ ...HEADER, typ: "holdfast-request+jwt" }, CLAIMS)}`),
      raw(
        "a critical extension that nobody knows",
        `Bearer ${compact({ ...HEADER, crit: ["x"], x: 1 }, CLAIMS)}`,
      ),
      raw("a payload that is null", `Bearer ${compact(HEADER, null)}`),
      raw("a payload that is no JSON", `Bearer ${compact(HEADER, "{")}`),
      raw("another node's key", `Bearer ${compact(HEADER, CLAIMS, derive(masters.current, "fra-2"))}`),
      raw("the master key itself", `Bearer ${compact(HEADER, CLAIMS, masters.current)}`),
      raw(
        "the next key, where only the current one is held",
        `Bearer ${compact(HEADER, CLAIMS, derive(masters.next, NODE))}`,
      ),
      refused("no key is held", "grant_invalid", {}, { keys: [] }),

      ...["fra-2", "FRA-1", "", undefined, [NODE]].map((aud) =>
        refused(`aud ${JSON.stringify(aud)}`, "grant_node", { aud }),
      ),
      ...["https://other.example.com", `${EDGE}/`, undefined].map((iss) =>
        refused(`iss ${JSON.stringify(iss)}`, "grant_invalid", { iss }),
      ),
      ...["stream", "", undefined].map((act) =>
        refused(`act ${JSON.stringify(act)}`, "grant_invalid", { act }),
      ),
      ...["sub", "iat", "exp", "jti", "tat", "htm", "url", "framing", "pass", "attempt"].flatMap((name) => [
        refused(`no ${name}`, "grant_invalid", { [name]: undefined }),
        refused(`${name} of another type`, "grant_invalid", { [name]: [] }),
      ]),
      ...["app\nother", "two words", "Upper", ""].map((sub) =>
        refused(`sub ${JSON.stringify(sub)}`, "grant_invalid", { sub }),
      ),
      refused("digest of another type", "grant_invalid", { digest: 1 }),
      refused("jti with unused bits set", "grant_invalid", { jti: `${REQUEST_ID.slice(0, -1)}x` }),
      refused("htm with a line end", "grant_invalid", { htm: "GET\r\nX: y" }),
      refused("framing: a negative length", "grant_invalid", { framing: -1 }),
      refused("framing: a length as text", "grant_invalid", { framing: "12" }),

      refused("begun at the border of the leeway", "grant_expired", { iat: NOW - 35, exp: NOW - 5 }),
      refused("the same by the node's clock", "grant_expired", {}, { now: CLAIMS.exp + 5 }),
      refused("signed in the future", "grant_expired", { iat: NOW + 6, exp: NOW + 30 }),
      refused("a life of 31 seconds", "grant_invalid", { iat: NOW - 1, exp: NOW + 30 }),
      refused("exp before iat", "grant_invalid", { iat: NOW, exp: NOW - 1 }),
    ],
  };
}
