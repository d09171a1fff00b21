import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";
import { isIP } from "node:net";
import * as der from "./der.ts";

/**
 * Certificates for development and tests: an authority of one's own and what it issues, ECDSA P-256 throughout. Nothing
 * but a machine that is told to trust the authority accepts them.
 */

/** A key and its certificate, as PEM. */
export interface Certificate {
  readonly key: string;
  readonly cert: string;
}

/** An authority; its `key` never has to be written anywhere. */
export interface Ca extends Certificate {
  readonly name: string;
  readonly privateKey: KeyObject;
}

/** What a certificate is issued for. */
export interface CertificateRequest {
  /** DNS names, wildcards included. */
  readonly dns?: readonly string[];
  /** IP addresses. */
  readonly ip?: readonly string[];
  /** From an hour ago on. Negative: one that has expired. 30 by default. */
  readonly days?: number;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

const OID = {
  ecdsaWithSha256: "1.2.840.10045.4.3.2",
  commonName: "2.5.4.3",
  subjectKeyId: "2.5.29.14",
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  authorityKeyId: "2.5.29.35",
  extendedKeyUsage: "2.5.29.37",
  serverAuth: "1.3.6.1.5.5.7.3.1",
} as const;

/**
 * Makes an authority.
 *
 * @example
 * const ca = createCa("Holdfast development");
 * const { key, cert } = issueCertificate(ca, { dns: ["localhost"], ip: ["127.0.0.1"] });
 * https.createServer({ key, cert }).listen(8443);
 */
export function createCa(name = "Holdfast development CA", days = 365): Ca {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const cert = build({
    subject: name,
    issuer: name,
    publicKey,
    signer: privateKey,
    days,
    extensions: [
      extension(OID.basicConstraints, der.sequence(der.boolean(true)), true),
      // keyCertSign and cRLSign.
      extension(OID.keyUsage, der.bitString(Buffer.from([0x06]), 1), true),
      extension(OID.subjectKeyId, der.octetString(keyId(publicKey))),
    ],
  });
  return { name, privateKey, key: pem(privateKey), cert };
}

/**
 * Issues a server certificate for names and addresses. `"self"` for the authority makes it sign itself.
 * @throws Error for an `ip` that is no address
 */
export function issueCertificate(
  ca: Ca | "self",
  { dns = [], ip = [], days = 30 }: CertificateRequest,
): Certificate {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const names = [
    ...dns.map((name) => der.context(2, Buffer.from(name, "latin1"))),
    ...ip.map((address) => der.context(7, addressBytes(address))),
  ];
  const subject = dns[0] ?? ip[0] ?? "nameless";
  const issuer = ca === "self" ? { name: subject, privateKey } : ca;
  const cert = build({
    subject,
    issuer: issuer.name,
    publicKey,
    signer: issuer.privateKey,
    days,
    extensions: [
      extension(OID.basicConstraints, der.sequence(), true),
      // digitalSignature.
      extension(OID.keyUsage, der.bitString(Buffer.from([0x80]), 7), true),
      extension(OID.extendedKeyUsage, der.sequence(der.oid(OID.serverAuth))),
      extension(OID.subjectAltName, der.sequence(...names)),
      extension(OID.authorityKeyId, der.sequence(der.context(0, keyId(issuer.privateKey)))),
    ],
  });
  return { key: pem(privateKey), cert };
}

interface Parts {
  readonly subject: string;
  readonly issuer: string;
  readonly publicKey: KeyObject;
  readonly signer: KeyObject;
  readonly days: number;
  readonly extensions: readonly Buffer[];
}

/** RFC 5280 section 4.1. */
function build({ subject, issuer, publicKey, signer, days, extensions }: Parts): string {
  const now = Date.now();
  const end = now + days * DAY_MS;
  const algorithm = der.sequence(der.oid(OID.ecdsaWithSha256));
  // A positive number of 16 bytes: the first byte is neither 0 nor above 0x7F.
  const serial = Buffer.concat([Buffer.from([0x40]), randomBytes(15)]);
  const signed = der.sequence(
    der.explicit(0, der.integer(Buffer.from([2]))),
    der.integer(serial),
    algorithm,
    distinguishedName(issuer),
    der.sequence(der.time(new Date(Math.min(now, end) - HOUR_MS)), der.time(new Date(end))),
    distinguishedName(subject),
    publicKey.export({ type: "spki", format: "der" }),
    der.explicit(3, der.sequence(...extensions)),
  );
  const signature = sign("sha256", signed, signer);
  const lines = der
    .sequence(signed, algorithm, der.bitString(signature))
    .toString("base64")
    .match(/.{1,64}/g)!;
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
}

function distinguishedName(commonName: string): Buffer {
  return der.sequence(der.set(der.sequence(der.oid(OID.commonName), der.utf8(commonName))));
}

function extension(id: string, value: Buffer, isCritical = false): Buffer {
  return der.sequence(der.oid(id), ...(isCritical ? [der.boolean(true)] : []), der.octetString(value));
}

/** RFC 5280 section 4.2.1.2: any digest that identifies the key will do. */
function keyId(key: KeyObject): Buffer {
  const { x, y } = key.export({ format: "jwk" });
  return createHash("sha256").update(`${x}.${y}`).digest().subarray(0, 20);
}

function pem(key: KeyObject): string {
  return key.export({ type: "pkcs8", format: "pem" }).toString();
}

function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split(".").map(Number));
  if (isIP(address) !== 6) throw new Error(`${address} is no IP address`);
  // The URL parser writes an IPv6 address without a dotted part.
  const [head = "", tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split("::");
  const groups = (text: string) => (text === "" ? [] : text.split(":"));
  const after = groups(tail ?? "");
  const before = groups(head);
  const all = [...before, ...Array<string>(8 - before.length - after.length).fill("0"), ...after];
  return Buffer.from(all.map((group) => group.padStart(4, "0")).join(""), "hex");
}
