import { calculateJwkThumbprint } from "jose";
import {
  type CertificateClaims,
  certificateInvalid,
  checkCertificateTimes,
  verifyCertificate,
} from "../../protocol/certificates.ts";
import { type BoundKey, importPublicKey } from "../../protocol/keys.ts";
import type { Client } from "../clients.ts";
import { keepNewest } from "../keep-newest.ts";
import { CERTIFICATES_MAX } from "../limits.ts";
import { trustingRule } from "./rules.ts";

/** A certificate that this edge signed, with its key ready for use. */
export interface Certified {
  readonly claims: CertificateClaims;
  readonly key: BoundKey;
  /** RFC 7638, of the key. */
  readonly thumbprint: string;
}

/** Certificates that an isolate has proven, so that each costs its signature once. It is bounded: the oldest is forgotten. */
export class CertificateMemory {
  readonly #proven = new Map<string, Certified>();
  readonly #max: number;

  constructor(max: number = CERTIFICATES_MAX) {
    this.#max = max;
  }

  /**
   * @param origin the edge's
   * @param edgeKey the public half of what the edge signs with
   * @throws RelayError `certificate_invalid`
   */
  async prove(certificate: string, origin: string, edgeKey: BoundKey): Promise<Certified> {
    const known = this.#proven.get(certificate);
    if (known !== undefined) return known;
    const claims = await verifyCertificate(certificate, origin, edgeKey);
    const { jwk } = claims.cnf;
    const certified = {
      claims,
      key: await importPublicKey(jwk),
      thumbprint: await calculateJwkThumbprint(jwk),
    };
    keepNewest(this.#proven, certificate, certified, this.#max);
    return certified;
  }
}

/**
 * Whether a proven certificate stands for a client at this moment: it is the client's own, in time, and by the record as it
 * is now its workload would be let in again.
 *
 * @param now seconds since 1970
 * @returns the id of the rule that lets it in
 * @throws RelayError `certificate_invalid`, `certificate_expired`
 */
export function checkCertificate({ claims }: Certified, client: Client, now: number): string {
  if (claims.sub !== client.id) throw certificateInvalid("it is another client's");
  checkCertificateTimes(claims, now);
  const rule = trustingRule(client.issuers, claims.platform);
  if (rule === undefined) {
    throw certificateInvalid("the client's record does not trust its workload any more");
  }
  return client.ruleIds[client.issuers.indexOf(rule)]!;
}
