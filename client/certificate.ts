import { CompactSign, decodeJwt, exportJWK, generateKeyPair, type JWK } from "jose";
import { errorFromProblem, RelayError, withReached } from "../protocol/errors.ts";
import { WIRE } from "../protocol/headers.ts";
import { type BoundKey, SIGNING_ALGORITHMS, type SigningAlgorithm } from "../protocol/keys.ts";
import { CERTIFICATE_MAX_BYTES } from "../protocol/limits.ts";
import { newRequestId } from "../protocol/tokens.ts";
import { CERTIFICATE_ANSWER_MAX_BYTES, CERTIFICATE_EXCHANGE_MS } from "./limits.ts";
import { readText } from "./stream.ts";
import type { Fetch } from "./wire.ts";

/** A fresh key with the edge's word for it. */
export interface Certificate extends BoundKey {
  readonly certificate: string;
  /** When it was asked for, and until when it is good, by this machine's clock; milliseconds since 1970. */
  readonly from: number;
  readonly until: number;
  /** Until when it is good by the edge's clock: no scope token may outlive it. Seconds since 1970. */
  readonly exp: number;
}

/** What is asked for a certificate. */
export interface CertificateAsk {
  readonly edge: string;
  readonly clientId: string;
  /** The platform's word for who is asking. */
  readonly platformToken: string;
  readonly underlying: Fetch;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

interface FreshKey {
  readonly alg: SigningAlgorithm;
  readonly key: CryptoKey;
  readonly publicJwk: JWK;
}

/**
 * Exchanges the platform's token and a fresh public key for a certificate: `POST /token` (RFC 8693). That it has the private key
 * is proven by DPoP (RFC 9449 section 4.2). The key can't be taken out of this process by its own code.
 *
 * @throws RelayError as the edge refuses; `edge_unreachable`, `edge_failed`, `answer_invalid`; all with `reached: no`
 */
export async function requestCertificate(ask: CertificateAsk): Promise<Certificate> {
  const { edge, clientId, platformToken, underlying, now } = ask;
  const fresh = await freshKey();
  const from = now();
  const url = `${edge}/token`;
  const proof = await proofOf(fresh, url, from);
  const body = new URLSearchParams({
    grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
    subject_token: platformToken,
    subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
    client_id: clientId,
  });
  let answer: Response;
  try {
    answer = await underlying(url, {
      method: "POST",
      headers: {
        "content-type": "application/x-www-form-urlencoded",
        accept: "application/json",
        dpop: proof,
      },
      body: body.toString(),
      redirect: "manual",
      signal: AbortSignal.timeout(CERTIFICATE_EXCHANGE_MS),
    });
  } catch (cause) {
    throw new RelayError("edge_unreachable", `${url} gave no answer`, { cause, reached: "no" });
  }
  const text = await readText(answer.body, CERTIFICATE_ANSWER_MAX_BYTES);
  const code = answer.headers.get(WIRE.error);
  if (code !== null) throw withReached(errorFromProblem(code, text, answer.headers), "no");
  if (answer.status !== 200) {
    const detail = `${url} answered ${answer.status} with no mark of the relay`;
    throw new RelayError("edge_failed", detail, { reached: "no" });
  }
  const { certificate, exp, seconds } = readAnswer(text, clientId);
  return { alg: fresh.alg, key: fresh.key, certificate, exp, from, until: from + seconds * 1_000 };
}

/** Ed25519, or ES256 where a runtime has none. */
async function freshKey(): Promise<FreshKey> {
  let missing: unknown;
  for (const alg of SIGNING_ALGORITHMS) {
    try {
      const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: false });
      return { alg, key: privateKey, publicJwk: await exportJWK(publicKey) };
    } catch (cause) {
      missing = cause;
    }
  }
  throw missing;
}

function proofOf({ alg, key, publicJwk }: FreshKey, url: string, now: number): Promise<string> {
  const claims = { htm: "POST", htu: url, iat: Math.floor(now / 1_000), jti: newRequestId() };
  return new CompactSign(new TextEncoder().encode(JSON.stringify(claims)))
    .setProtectedHeader({ alg, typ: "dpop+jwt", jwk: publicJwk })
    .sign(key);
}

/** What is wrong with the answer is told without a word of it. */
function readAnswer(text: string, clientId: string): { certificate: string; exp: number; seconds: number } {
  const invalid = (why: string) =>
    new RelayError("answer_invalid", `the edge's answer to POST /token ${why}`, { reached: "no" });
  let answer: Readonly<Record<string, unknown>> | null;
  try {
    answer = JSON.parse(text) as typeof answer;
  } catch {
    throw invalid("is no JSON");
  }
  const { access_token: certificate, expires_in: seconds } = answer ?? {};
  if (typeof certificate !== "string" || certificate.length > CERTIFICATE_MAX_BYTES) {
    throw invalid(`holds no certificate of at most ${CERTIFICATE_MAX_BYTES} bytes`);
  }
  if (typeof seconds !== "number" || !(seconds > 0)) throw invalid("does not say how long it is good");
  let claims: ReturnType<typeof decodeJwt>;
  try {
    claims = decodeJwt(certificate);
  } catch {
    throw invalid("holds a certificate that is no JWT");
  }
  if (claims.sub !== clientId || typeof claims.exp !== "number") {
    throw invalid("holds a certificate for another client, or without an end");
  }
  return { certificate, exp: claims.exp, seconds };
}
