import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { exportJWK, generateKeyPair, type JWK } from "jose";
import { generateClientKey } from "../protocol/keys.ts";
import { createCa, issueCertificate } from "./certificates.ts";

/** Keys of a development stack. They are made once per folder and are worth nothing elsewhere. */
export interface DevKeys {
  readonly grantMasterKey: string;
  readonly storageKeys: string;
  /** Private Ed25519 JWK. */
  readonly edgeSigningKey: JWK;
  readonly operator: { readonly publicJwk: JWK; readonly privateKey: string };
  /** Private Ed25519 JWKs by node id. */
  readonly nodeSigningKeys: Readonly<Record<string, JWK>>;
  readonly client: { readonly publicJwk: JWK; readonly privateKey: string };
  /** PEM: the authority, and what it issued for localhost. */
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

const CERTIFICATE_DAYS = 365;
const RENEW_BEFORE_DAYS = 30;

/** Reads the folder's keys, or makes them on the first run and when the certificate nears its end. */
export async function devKeys(dir: string, nodeIds: readonly string[]): Promise<DevKeys> {
  const file = join(dir, "keys.json");
  if (existsSync(file)) {
    const { keys, made } = JSON.parse(readFileSync(file, "utf8")) as { keys: DevKeys; made: number };
    const isComplete = "storageKeys" in keys && nodeIds.every((id) => id in (keys.nodeSigningKeys ?? {}));
    if (isComplete && Date.now() - made < (CERTIFICATE_DAYS - RENEW_BEFORE_DAYS) * 86_400_000) return keys;
  }
  const ca = await createCa("Holdfast development CA", CERTIFICATE_DAYS);
  const { cert, key } = await issueCertificate(ca, {
    dns: ["localhost"],
    ip: ["127.0.0.1"],
    days: CERTIFICATE_DAYS,
  });
  const keys: DevKeys = {
    grantMasterKey: randomBytes(32).toString("base64url"),
    storageKeys: randomBytes(32).toString("base64url"),
    edgeSigningKey: { ...(await privateJwk()), kid: "edge-1" },
    nodeSigningKeys: Object.fromEntries(
      await Promise.all(nodeIds.map(async (id) => [id, await privateJwk()] as const)),
    ),
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

async function privateJwk(): Promise<JWK> {
  const { privateKey } = await generateKeyPair("Ed25519", { extractable: true });
  return exportJWK(privateKey);
}

/** The public half of a private Ed25519 JWK. */
export function publicHalf({ kty, crv, x }: JWK): JWK {
  return { kty, crv, x } as JWK;
}
