// The x509 library keeps its parts in a container that needs this peer.
import "reflect-metadata";
import * as x509 from "@peculiar/x509";

/**
 * Certificates for development and tests: an authority of one's own and what it issues, ECDSA P-256 throughout. Nothing
 * but a machine that is told to trust the authority accepts them.
 */

/** A key and its certificate, as PEM. */
export interface Certificate {
  readonly key: string;
  readonly cert: string;
}

/** An authority; its key never has to be written anywhere. */
export interface Ca {
  readonly cert: string;
  readonly certificate: x509.X509Certificate;
  readonly keys: CryptoKeyPair;
}

/** What a certificate is issued for. */
export interface CertificateRequest {
  /** Whom it stands for: a server unless told. */
  readonly of?: "server" | "client";
  /** DNS names, wildcards included. */
  readonly dns?: readonly string[];
  /** IP addresses. */
  readonly ip?: readonly string[];
  /** From an hour ago on. Negative: one that has expired. 30 by default. */
  readonly days?: number;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

/**
 * Makes an authority.
 *
 * @example
 * const ca = await createCa("Holdfast development");
 * const { key, cert } = await issueCertificate(ca, { dns: ["localhost"], ip: ["127.0.0.1"] });
 * https.createServer({ key, cert }).listen(8443);
 */
export async function createCa(name = "Holdfast development CA", days = 365): Promise<Ca> {
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}`,
    keys,
    ...validity(days),
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { cert: certificate.toString("pem"), certificate, keys };
}

/** Issues a certificate, signed by an authority or, with `self`, by its own key. */
export async function issueCertificate(ca: Ca | "self", request: CertificateRequest): Promise<Certificate> {
  const { of = "server", dns = [], ip = [], days = 30 } = request;
  const keys = await newKeys();
  const names = [
    ...dns.map((value) => new x509.GeneralName("dns", value)),
    ...ip.map((value) => new x509.GeneralName("ip", value)),
  ];
  const subject = `CN=${dns[0] ?? ip[0] ?? "nobody"}`;
  const certificate = await x509.X509CertificateGenerator.create({
    subject,
    issuer: ca === "self" ? subject : ca.certificate.subject,
    publicKey: keys.publicKey,
    signingKey: ca === "self" ? keys.privateKey : ca.keys.privateKey,
    ...validity(days),
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage[`${of}Auth`]]),
      new x509.SubjectAlternativeNameExtension(names),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(ca === "self" ? keys.publicKey : ca.keys.publicKey),
    ],
  });
  const der = await crypto.subtle.exportKey("pkcs8", keys.privateKey);
  return { cert: certificate.toString("pem"), key: x509.PemConverter.encode(der, "PRIVATE KEY") };
}

function newKeys(): Promise<CryptoKeyPair> {
  return crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
}

function validity(days: number): { notBefore: Date; notAfter: Date } {
  const now = Date.now();
  // A certificate that expired must have begun before its end.
  const notBefore = new Date(now - HOUR_MS - Math.max(0, -days) * DAY_MS - DAY_MS);
  return { notBefore, notAfter: new Date(now + days * DAY_MS) };
}
