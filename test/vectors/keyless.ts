import { createPublicKey, type KeyObject } from "node:crypto";
import { EDGE, encode, NOW, REQUEST_ID, type Toolbox } from "./toolbox.ts";

/** How to read the file. */
const DESCRIPTION = [
  "What a client without a registered key signs and shows. Everything is judged at the time `now` (seconds since 1970), by an edge whose origin is `edge`.",
  "`proofs`: `proof` is the field DPoP of a `POST /token`. `expect` holds the public key that it proves, `error` the code of the refusal. That a proof is good once is not judged here.",
  "`cases`: `authorization` is `Bearer ` and a request token whose header names a certificate, for POST /fetch. The edge signs certificates by the key `edgeKey`; the client `ci` has no key, and `issuers` in its record. `expect` holds the token's claims, `error` the code of the refusal.",
];

const ISSUER = "https://token.actions.githubusercontent.com";

/** The member of the client's record. */
const ISSUERS = [{ issuer: "github", claims: { repository_id: "456789" } }];

const PROOF = { htm: "POST", htu: `${EDGE}/token`, iat: NOW - 10, jti: REQUEST_ID };

const REQUEST = {
  iss: "ci",
  aud: EDGE,
  act: "fetch",
  iat: NOW - 10,
  exp: NOW + 50,
  jti: REQUEST_ID,
  htm: "GET",
  url: "https://api.example.com/v1/rates",
  framing: "none",
};

type Changes = Readonly<Record<string, unknown>>;

/** What of a case is not as it should be. */
interface Wrong {
  /** Of the certificate. */
  readonly claims?: Changes;
  readonly header?: Changes;
  readonly signer?: "edge" | "stranger";
  /** Of the token. */
  readonly request?: Changes;
  readonly requestSigner?: "workload" | "stranger";
  readonly certificate?: unknown;
}

/** The content of keyless.json. */
export function keylessVectors({ private: keys, ed25519 }: Toolbox): object {
  // The edge's key is none of the client's.
  const edgeKey = keys["ed25519-next"];
  const jwk = publicJwk(keys.ed25519);
  const sign = (header: object, claims: object, key: KeyObject) => {
    const input = `${encode(header)}.${encode(claims)}`;
    return `${input}.${ed25519(key, input).toString("base64url")}`;
  };
  const proofOf = (claims: Changes, header: Changes, key = keys.ed25519) =>
    sign({ alg: "Ed25519", typ: "dpop+jwt", jwk, ...header }, { ...PROOF, ...claims }, key);
  const proof = (name: string, claims: Changes = {}, header: Changes = {}) => ({
    name,
    proof: proofOf(claims, header),
    expect: jwk,
  });
  const noProof = (
    name: string,
    error: string,
    { claims = {}, header = {}, key }: { claims?: Changes; header?: Changes; key?: KeyObject },
  ) => ({ name, proof: proofOf(claims, header, key), error });
  const certificateOf = ({ claims = {}, header = {}, signer = "edge" }: Wrong) =>
    sign(
      { alg: "Ed25519", typ: "holdfast-certificate+jwt", ...header },
      {
        iss: EDGE,
        aud: EDGE,
        sub: "ci",
        iat: NOW - 60,
        exp: NOW + 840,
        jti: REQUEST_ID,
        cnf: { jwk },
        platform: {
          iss: ISSUER,
          sub: "repo:acme/shop:ref:refs/heads/main",
          claims: { repository_id: "456789" },
        },
        ...claims,
      },
      signer === "edge" ? edgeKey : keys.stranger,
    );
  const tokenOf = (wrong: Wrong) => {
    const certificate = "certificate" in wrong ? wrong.certificate : certificateOf(wrong);
    const header = { alg: "Ed25519", typ: "holdfast-request+jwt", certificate };
    const key = wrong.requestSigner === "stranger" ? keys.stranger : keys.ed25519;
    return `Bearer ${sign(header, { ...REQUEST, ...wrong.request }, key)}`;
  };
  const taken = (name: string, wrong: Wrong = {}) => ({
    name,
    authorization: tokenOf(wrong),
    expect: { ...REQUEST, ...wrong.request },
  });
  const refused = (name: string, error: string, wrong: Wrong) => ({
    name,
    authorization: tokenOf(wrong),
    error,
  });
  const platform = (changes: Changes) => ({
    platform: { iss: ISSUER, sub: "x", claims: { repository_id: "456789" }, ...changes },
  });
  return {
    description: DESCRIPTION,
    edge: EDGE,
    now: NOW,
    edgeKey: publicJwk(edgeKey),
    issuers: ISSUERS,
    proofs: [
      proof("as it should be"),
      proof("alg by its older name", {}, { alg: "EdDSA" }),
      proof("as late as is allowed", { iat: NOW - 64 }),
      proof("by a clock as far ahead as is allowed", { iat: NOW + 5 }),
      noProof("too late", "token_expired", { claims: { iat: NOW - 65 } }),
      noProof("from the future", "token_premature", { claims: { iat: NOW + 6 } }),
      ...["JWT", "holdfast-request+jwt", undefined].map((typ) =>
        noProof(`typ ${JSON.stringify(typ)}`, "proof_invalid", { header: { typ } }),
      ),
      ...["GET", undefined].map((htm) =>
        noProof(`htm ${JSON.stringify(htm)}`, "proof_invalid", { claims: { htm } }),
      ),
      ...[`${EDGE}/fetch`, `${EDGE}/token?x`, "https://other.example.com/token", undefined].map((htu) =>
        noProof(`htu ${JSON.stringify(htu)}`, "proof_invalid", { claims: { htu } }),
      ),
      ...["", "x".repeat(129), 1, undefined].map((jti) =>
        noProof(`jti ${JSON.stringify(jti)}`.slice(0, 40), "proof_invalid", { claims: { jti } }),
      ),
      noProof("a private key", "proof_invalid", { header: { jwk: { ...jwk, d: jwk["x"] } } }),
      noProof("no key", "proof_invalid", { header: { jwk: undefined } }),
      noProof("another key's signature", "proof_invalid", { key: keys.stranger }),
    ],
    cases: [
      taken("as it should be"),
      taken("to a target of any kind", { request: { htm: "POST", framing: 3 } }),
      taken("by a certificate that has just ended", { claims: { iat: NOW - 904, exp: NOW - 4 } }),
      refused("by a certificate that has ended", "certificate_expired", {
        claims: { iat: NOW - 905, exp: NOW - 5 },
      }),
      refused("by a certificate that lives too long", "certificate_invalid", { claims: { exp: NOW + 841 } }),
      refused("by a certificate of another edge", "certificate_invalid", {
        claims: { iss: "https://other.example.com" },
      }),
      refused("by a certificate for another edge", "certificate_invalid", {
        claims: { aud: "https://other.example.com" },
      }),
      refused("by another client's certificate", "certificate_invalid", { claims: { sub: "shop" } }),
      refused("by a certificate that the edge did not sign", "certificate_invalid", { signer: "stranger" }),
      refused("by a token of another typ", "certificate_invalid", {
        header: { typ: "holdfast-request+jwt" },
      }),
      refused("by a certificate without a key", "certificate_invalid", { claims: { cnf: {} } }),
      refused("by a certificate of another owner", "certificate_invalid", {
        claims: platform({ claims: { repository_id: "1" } }),
      }),
      refused("by a certificate of another issuer", "certificate_invalid", {
        claims: platform({ iss: "https://accounts.google.com" }),
      }),
      ...[1, null, {}].map((certificate) =>
        refused(`certificate ${JSON.stringify(certificate)}`, "token_malformed", { certificate }),
      ),
      refused("by a text that is no certificate", "certificate_invalid", { certificate: "x.y.z" }),
      refused("by another key than the certificate's", "token_signature", { requestSigner: "stranger" }),
      refused("without a certificate", "token_signature", { certificate: undefined }),
    ],
  };
}

function publicJwk(key: KeyObject): Record<string, unknown> {
  const { kty, crv, x } = createPublicKey(key).export({ format: "jwk" });
  return { kty, crv, x };
}
