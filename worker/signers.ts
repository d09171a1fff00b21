import { type Unverified, verifySignature } from "../protocol/tokens.ts";
import type { Client } from "./clients.ts";
import type { Edge } from "./edge.ts";
import { checkCertificate } from "./keyless/certificates.ts";
import type { ProvenTokens } from "./proven-tokens.ts";

/** Which key of a client's proves a token. */
export interface Signer {
  /** Thumbprint of the key (RFC 7638). */
  readonly key: string;
  /** When the key's certificate ends, in seconds since 1970; undefined where the key is registered. */
  readonly certifiedUntil: number | undefined;
  /** The id of the client's rule that lets its certificate in; undefined likewise. */
  readonly rule: string | undefined;
}

/**
 * Proves a client's token, by one of the keys that are registered for it or by the one that its certificate names. This is the
 * one place that decides which key stands for a client.
 *
 * @param now seconds since 1970
 * @param proven what was proven before, where the token is good for many requests
 * @throws RelayError `token_signature`, `certificate_invalid`, `certificate_expired`, `edge_misconfigured`
 */
export async function proveSigner(
  unverified: Unverified,
  client: Client,
  edge: Edge,
  now: number,
  proven?: ProvenTokens,
): Promise<Signer> {
  const { certificate, token } = unverified;
  if (certificate === undefined) {
    const { keys, thumbprints } = client;
    const signer =
      thumbprints.find((thumbprint) => proven?.has(token, thumbprint)) ??
      thumbprints[keys.indexOf(await verifySignature(unverified, keys))]!;
    proven?.add(token, signer);
    return { key: signer, certifiedUntil: undefined, rule: undefined };
  }
  const certified = await edge.certificates.prove(certificate, edge.config.origin, await edge.verifyingKey());
  const rule = checkCertificate(certified, client, now);
  if (proven?.has(token, certified.thumbprint) !== true) await verifySignature(unverified, [certified.key]);
  proven?.add(token, certified.thumbprint);
  return { key: certified.thumbprint, certifiedUntil: certified.claims.exp, rule };
}
