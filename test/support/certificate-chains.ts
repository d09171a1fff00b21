import { createHash, X509Certificate } from "node:crypto";
import { type Ca, createCa } from "../../dev/certificates.ts";
import * as x509 from "@peculiar/x509";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

/** An authority that another one issued. */
export async function createIntermediate(root: Ca, name: string): Promise<Ca> {
  const keys = await crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const certificate = await authority(name, keys.publicKey, root.certificate.subject, root.keys.privateKey, [
    await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    await x509.AuthorityKeyIdentifierExtension.create(root.keys.publicKey),
  ]);
  return { cert: certificate.toString("pem"), certificate, keys };
}

/** A root that may have such intermediates below it. */
export async function createRoot(name: string): Promise<Ca> {
  const { keys } = await createCa(name);
  const certificate = await authority(name, keys.publicKey, `CN=${name}`, keys.privateKey, [
    await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
  ]);
  return { cert: certificate.toString("pem"), certificate, keys };
}

/**
 * A certificate that anybody can make: it has the name and the key's id of one authority, and the key of another, of which its
 * maker has the public half alone.
 */
export async function forgeAuthority(named: Ca, keyed: Ca): Promise<string> {
  const maker = await crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const { subject } = named.certificate;
  const forged = await authority(subject, keyed.keys.publicKey, subject, maker.privateKey, [
    await x509.SubjectKeyIdentifierExtension.create(named.keys.publicKey),
  ]);
  return forged.toString("pem");
}

async function authority(
  subject: string,
  publicKey: CryptoKey,
  issuer: string,
  signingKey: CryptoKey,
  extensions: readonly x509.Extension[],
): Promise<x509.X509Certificate> {
  return x509.X509CertificateGenerator.create({
    subject: subject.startsWith("CN=") ? subject : `CN=${subject}`,
    issuer,
    publicKey,
    signingKey,
    notBefore: new Date(Date.now() - 86_400_000),
    notAfter: new Date(Date.now() + 30 * 86_400_000),
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      ...extensions,
    ],
  });
}

/** A certificate's pin, by another way than the node's. */
export function pinOf(cert: string): string {
  const { publicKey } = new X509Certificate(cert);
  const [, body] = /-----BEGIN PUBLIC KEY-----([^-]+)-----/.exec(
    publicKey.export({ type: "spki", format: "pem" }),
  )!;
  return `sha256/${createHash("sha256").update(Buffer.from(body!, "base64")).digest("base64")}`;
}

/** As a grant has it. */
export function derOf(cert: string): string {
  return new X509Certificate(cert).raw.toString("base64");
}
