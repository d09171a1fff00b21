import { createHash, X509Certificate } from "node:crypto";
import { createSecureContext, getCACertificates, type PeerCertificate, type SecureContext } from "node:tls";
import { RelayError } from "../protocol/errors.ts";
import type { TlsRules } from "../protocol/tls-rules.ts";
import { TLS_CHAIN_MAX, TLS_CONTEXTS_MAX } from "./limits.ts";

/** Tells rules apart: what was proven under some is never used under others. Empty where there are none. */
export function tlsRulesKey(rules: TlsRules | undefined): string {
  if (rules === undefined) return "";
  const { ca, pins, min } = rules;
  return createHash("sha256")
    .update(JSON.stringify([ca, pins, min]))
    .digest("base64url");
}

/**
 * What handshakes go by, by authorities and version: parsing certificates takes longer than a handshake, so contexts are kept,
 * those used last.
 *
 * @param ca PEM certificates of authorities that are trusted besides the default roots, where a rule names none
 */
export function createTlsContexts(ca: readonly string[], max: number = TLS_CONTEXTS_MAX) {
  const kept = new Map<string, SecureContext>();
  /** By version: those of records that name no authorities. They are nearly everybody's, and the slowest to make. */
  const common = new Map<string, SecureContext>();
  const roots = ca.length > 0 ? { ca: [...getCACertificates("default"), ...ca] } : {};

  return {
    /** @throws RelayError `tls_certificate` where an authority of the rules can't be read */
    contextFor(rules: TlsRules | undefined): SecureContext {
      const { ca: own, min = "TLSv1.2" } = rules ?? {};
      if (own === undefined) {
        const context = common.get(min) ?? createSecureContext({ minVersion: min, ...roots });
        common.set(min, context);
        return context;
      }
      const key = tlsRulesKey({ ca: own, min });
      // An authority that a record names is trusted as it stands, also where another one signed it.
      const context =
        kept.get(key) ??
        createSecureContext({ minVersion: min, ca: pemOf(own), allowPartialTrustChain: true });
      kept.delete(key);
      kept.set(key, context);
      if (kept.size > max) kept.delete(kept.keys().next().value!);
      return context;
    },
  };
}

/** OpenSSL passes over what it can't read, and would then trust fewer authorities than are named, without a word. */
function pemOf(ca: readonly string[]): string[] {
  return ca.map((encoded, index) => {
    try {
      return new X509Certificate(Buffer.from(encoded, "base64")).toString();
    } catch (cause) {
      throw new RelayError(
        "tls_certificate",
        `certificate ${index + 1} of the ca that the client's record has in its tls entry for the target can't be read`,
        { cause },
      );
    }
  });
}

/**
 * What is wrong with a verified certificate by the pins, as RFC 7469 section 2.6 has them: one has to be the key of the
 * certificate itself or of one above it.
 *
 * @param certificate with its issuers, as Node hands it to `checkServerIdentity`, which must not throw
 */
export function pinFailure(
  host: string,
  certificate: PeerCertificate,
  pins: readonly string[],
): RelayError | undefined {
  let own = "of a kind that can't be read";
  try {
    own = pinOf(new X509Certificate(certificate.raw));
    for (const key of provenKeys(certificate)) if (pins.includes(key)) return undefined;
  } catch {
    // A target may send certificates of others' making, in whatever state: beyond such a one nothing is proven.
  }
  return new RelayError(
    "tls_certificate",
    `no key of the certificate of ${host}, or of those above it, is among the pins of the client's record: its own is ${own}`,
  );
}

/**
 * The keys that vouch for a certificate: its own, and each one's that signed the one below. Node links certificates by their
 * names alone and takes them from what the target sent, which may hold any number of others' certificates, and made up ones
 * with others' keys: so each signature is verified here.
 */
function* provenKeys(leaf: PeerCertificate): Generator<string> {
  let certificate = new X509Certificate(leaf.raw);
  yield pinOf(certificate);
  let link: object = leaf;
  for (let length = 1; length < TLS_CHAIN_MAX; length++) {
    const issuer = (link as { readonly issuerCertificate?: PeerCertificate }).issuerCertificate;
    if (issuer === undefined || issuer === link) return;
    const above = new X509Certificate(issuer.raw);
    if (!above.ca || !certificate.checkIssued(above) || !certificate.verify(above.publicKey)) return;
    yield pinOf(above);
    [certificate, link] = [above, issuer];
  }
}

function pinOf({ publicKey }: X509Certificate): string {
  const spki = publicKey.export({ type: "spki", format: "der" });
  return `sha256/${createHash("sha256").update(spki).digest("base64")}`;
}
