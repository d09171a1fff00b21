import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { exportJWK, generateKeyPair, type JWK } from "jose";
import { generateClientKey } from "../protocol/keys.ts";
import { createCa, issueCertificate } from "./certificates.ts";

/** Keys of a development stack. They are made once per folder and are worth nothing elsewhere. */
export interface DevKeys {
  readonly grantMasterKey: string;
  /** Private Ed25519 JWK. */
  readonly edgeSigningKey: JWK;
  readonly operator: { readonly publicJwk: JWK; readonly privateKey: string };
  readonly client: { readonly publicJwk: JWK; readonly privateKey: string };
  /** PEM: the authority, and what it issued for localhost. */
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

const CERTIFICATE_DAYS = 365;
const RENEW_BEFORE_DAYS = 30;

/** Reads the folder's keys, or makes them on the first run and when the certificate nears its end. */
export async function devKeys(dir: string): Promise<DevKeys> {
  const file = join(dir, "keys.json");
  if (existsSync(file)) {
    const { keys, made } = JSON.parse(readFileSync(file, "utf8")) as { keys: DevKeys; made: number };
    if (Date.now() - made < (CERTIFICATE_DAYS - RENEW_BEFORE_DAYS) * 86_400_000) return keys;
  }
  const { privateKey } = await generateKeyPair("Ed25519", { extractable: true });
  const ca = await createCa("Holdfast development CA", CERTIFICATE_DAYS);
  const { cert, key } = await issueCertificate(ca, {
    dns: ["localhost"],
    ip: ["127.0.0.1"],
    days: CERTIFICATE_DAYS,
  });
  const keys: DevKeys = {
    grantMasterKey: randomBytes(32).toString("base64url"),
    edgeSigningKey: { ...(await exportJWK(privateKey)), kid: "edge-1" },
    operator: await generateClientKey(),
    client: await generateClientKey(),
    ca: ca.cert,
    cert,
    key,
  };
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  writeFileSync(file, JSON.stringify({ made: Date.now(), keys }), { mode: 0o600 });
  return keys;
}
