import type { Context } from "hono";
import { type PlatformIdentity, signCertificate } from "../../protocol/certificates.ts";
import { RelayError } from "../../protocol/errors.ts";
import { WIRE } from "../../protocol/headers.ts";
import { CERTIFICATE_MAX_SECONDS, CLOCK_LEEWAY_SECONDS } from "../../protocol/limits.ts";
import { newRequestId } from "../../protocol/tokens.ts";
import { holdToCeiling } from "../ceilings.ts";
import type { Client } from "../clients.ts";
import { type Edge, edgeOf, type Env, registryCall, registryOf } from "../edge.ts";
import type { Hosting } from "../hosting.ts";
import { PROOF_SECONDS } from "../limits.ts";
import { atSendersCost } from "../strangers.ts";
import { identify } from "./identify.ts";
import { readPlatformToken } from "./platform-token.ts";
import { type Possession, proofId, proveProof, readProof, type UnprovenProof } from "./proof.ts";
import { JWT_TYPE, readTokenForm } from "./token-form.ts";

/** A workload that may act as a client, and the key that it holds. */
interface Proven {
  readonly client: Client;
  readonly identity: PlatformIdentity;
  readonly possession: Possession;
  readonly proof: UnprovenProof;
  /** When the platform's token ends, in seconds since 1970. */
  readonly until: number;
}

/**
 *   workload ──platform's token──▶ edge ──▶ issuer's keys
 *            ──proof of a fresh key──▶
 *   workload ◀──certificate of that key──── edge
 *
 * Exchanges a platform's token for a certificate (RFC 8693), bound to a key by a proof (RFC 9449). So the token is shown to the
 * edge alone, once in a quarter of an hour, and what crosses the wire with each request is signed.
 *
 * @throws RelayError `request_invalid`, `too_large`, `proof_invalid`, `token_expired`, `token_premature`, `token_replayed`,
 *   `client_unknown`, `rate_limited`, `registry_unavailable`, and as `identify`
 */
export async function exchangeToken(c: Context<Hosting>): Promise<Response> {
  const edge = edgeOf(c.env);
  const now = Math.floor(Date.now() / 1_000);
  const proven = await prove(c.req.raw, edge, c.env, now);
  await holdToCeiling(proven.client, c.env);
  await useOnce(proven, c.env, now);
  const { client, identity, possession, until } = proven;
  const { origin, signingKey } = edge.config;
  // Given within the leeway after the token's own end, it is good for what is left of that.
  const exp = Math.min(now + CERTIFICATE_MAX_SECONDS, Math.floor(until) + CLOCK_LEEWAY_SECONDS);
  const certificate = await signCertificate(
    {
      iss: origin,
      aud: origin,
      sub: client.id,
      iat: now,
      exp,
      jti: newRequestId(),
      cnf: { jwk: possession.jwk },
      platform: identity,
    },
    await edge.signingKey(),
    signingKey.kid,
  );
  return c.json(
    { access_token: certificate, issued_token_type: JWT_TYPE, token_type: "N_A", expires_in: exp - now },
    200,
    { [WIRE.timing]: c.get("clock").timing(), "Cache-Control": "no-store" },
  );
}

/** What costs nothing is judged first, and nothing of it depends on whom the client trusts. */
async function prove(request: Request, edge: Edge, env: Env, now: number): Promise<Proven> {
  const { clientId, subjectToken } = await readTokenForm(request);
  return atSendersCost(request, edge, env, async (admit) => {
    const proof = readProof(request.headers.get("dpop"), `${edge.config.origin}/token`, now);
    const token = readPlatformToken(subjectToken, now);
    admit(edge.knows(clientId));
    const client = await edge.client(clientId, env, now * 1_000);
    const possession = await proveProof(proof);
    const { identity } = await identify(token, client, edge);
    return { client, identity, possession, proof, until: token.exp };
  });
}

/**
 * A proof is good once at the whole edge. It takes one row in the registry, for a minute, for each certificate, which a
 * workload asks for every 15 minutes; and it is taken last, so that nobody else can fill the table.
 */
async function useOnce({ possession, proof }: Proven, env: Env, now: number): Promise<void> {
  const id = await proofId(possession, proof);
  const expires = Math.ceil(proof.iat) + PROOF_SECONDS + 2 * CLOCK_LEEWAY_SECONDS;
  if (!(await registryCall(() => registryOf(env).useOnce(id, expires, now)))) {
    throw new RelayError("token_replayed", "this proof of possession was used before", { reached: "no" });
  }
}
