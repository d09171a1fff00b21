import { readFileSync } from "node:fs";
import { createSecureContext, getCACertificates, type SecureContext } from "node:tls";

/**
 * What connections to the relay's own parts are made with: TLS 1.2 or newer, certificates by public authorities or by
 * those of `relayCa`. Parsing the roots takes longer than a handshake, so that all connections share one.
 *
 * @param relayCa a PEM file
 */
export function relayTls(relayCa: string | undefined): SecureContext {
  return createSecureContext({
    minVersion: "TLSv1.2",
    ...(relayCa !== undefined && { ca: [...getCACertificates("default"), readFileSync(relayCa, "utf8")] }),
  });
}
