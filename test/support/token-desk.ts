import type { IncomingMessage, ServerResponse } from "node:http";
import { compactVerify, decodeProtectedHeader, importJWK, type JWK } from "jose";
import { checkCertificateTimes, verifyCertificate } from "../../protocol/certificates.ts";
import { problemResponse, RelayError } from "../../protocol/errors.ts";
import { type BoundKey, generateClientKey, importPrivateKey, importPublicKey } from "../../protocol/keys.ts";
import { newRequestId, signToken } from "../../protocol/tokens.ts";

/** One exchange, its proof verified. */
export interface Exchanged {
  readonly form: Readonly<Record<string, string>>;
  readonly proof: { readonly alg: string; readonly htu: unknown; readonly iat: unknown };
}

/** `POST /token` of an edge that takes any platform token, and what it says of tokens that are signed under its certificates. */
export interface TokenDesk {
  readonly seen: Exchanged[];
  /** How long an answer takes, and for how long its certificate is good. */
  delayMs: number;
  seconds: number;
  /** Its clock: milliseconds since 1970. */
  now: () => number;
  /** Answers the next question in its place. */
  readonly next: (answer: RelayError | ((response: ServerResponse) => void)) => void;
  readonly answer: (request: IncomingMessage, response: ServerResponse) => Promise<void>;
  /** The key of a token that was signed under a certificate of this edge's; undefined for one without. */
  readonly keyOf: (token: string) => Promise<BoundKey | undefined>;
  /** Takes another key: no certificate of before holds. */
  readonly rotate: () => Promise<void>;
}

/** @param origin looked up when the first question comes */
export async function openTokenDesk(origin: () => string): Promise<TokenDesk> {
  const answers: (RelayError | ((response: ServerResponse) => void))[] = [];
  const proofs = new Set<unknown>();
  let own = await generateClientKey();

  const exchange = async (request: IncomingMessage): Promise<object> => {
    let text = "";
    for await (const chunk of request) text += String(chunk);
    const form = Object.fromEntries(new URLSearchParams(text));
    const jwk = await proven(String(request.headers["dpop"]), form);
    const iat = Math.floor(desk.now() / 1_000);
    const claims = { cnf: { jwk }, platform: { iss: "https://issuer.example", sub: "job", claims: {} } };
    const certificate = await signToken(
      "certificate",
      {
        ...claims,
        iss: origin(),
        aud: origin(),
        sub: form["client_id"],
        iat,
        exp: iat + desk.seconds,
        jti: newRequestId(),
      },
      await importPrivateKey(own.privateKey),
    );
    return {
      access_token: certificate,
      issued_token_type: "urn:ietf:params:oauth:token-type:jwt",
      token_type: "N_A",
      expires_in: desk.seconds,
    };
  };

  const proven = async (proof: string, form: Exchanged["form"]): Promise<JWK> => {
    const { alg, typ, jwk } = decodeProtectedHeader(proof) as { alg: string; typ: string; jwk: JWK };
    const { payload } = await compactVerify(proof, await importJWK(jwk, alg));
    const { htm, htu, iat, jti } = JSON.parse(new TextDecoder().decode(payload)) as Record<string, unknown>;
    desk.seen.push({ form, proof: { alg, htu, iat } });
    if (typ !== "dpop+jwt" || htm !== "POST" || htu !== `${origin()}/token` || "d" in jwk) {
      throw new RelayError("token_malformed", "the proof is none");
    }
    if (proofs.has(jti)) throw new RelayError("token_replayed", "the proof was used before");
    proofs.add(jti);
    return jwk;
  };

  const desk: TokenDesk = {
    seen: [],
    delayMs: 0,
    seconds: 900,
    now: Date.now,
    next: (answer) => void answers.push(answer),
    answer: async (request, response) => {
      if (desk.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, desk.delayMs));
      try {
        const answer = await exchange(request);
        const other = answers.shift();
        if (other instanceof RelayError) throw other;
        if (other !== undefined) return other(response);
        response.writeHead(200, { "Content-Type": "application/json", "Cache-Control": "no-store" });
        response.end(JSON.stringify(answer));
      } catch (error) {
        const known = error instanceof RelayError ? error : new RelayError("edge_internal", String(error));
        const { status, headers, body } = problemResponse(known);
        response.writeHead(status, Object.fromEntries(headers)).end(body);
      }
    },
    keyOf: async (token) => {
      const { certificate } = decodeProtectedHeader(token) as { certificate?: string };
      if (certificate === undefined) return undefined;
      const claims = await verifyCertificate(certificate, origin(), await importPublicKey(own.publicJwk));
      checkCertificateTimes(claims, desk.now() / 1_000);
      return importPublicKey(claims.cnf.jwk);
    },
    rotate: async () => {
      own = await generateClientKey();
    },
  };
  return desk;
}
