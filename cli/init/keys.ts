import { randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { base64url, exportJWK, generateKeyPair, type JWK } from "jose";
import { deriveGrantKey } from "../../protocol/grants.ts";
import type { Answers } from "./answers.ts";

/** The grant master keys: one, or two while they change. */
export interface GrantMaster {
  /** 32 bytes each in base64url; the nodes take grants of each. */
  readonly keys: readonly string[];
  /** Which of them the edge signs under. */
  readonly edge: number;
}

/** Every key of a deployment. The JWKs are private Ed25519 ones. */
export interface Keys {
  readonly grantMaster: GrantMaster;
  /** What the edge seals with at rest, 32 bytes each in base64url: the current one, and the one before it while they change. */
  readonly storage: readonly string[];
  /** With a kid. */
  readonly edgeSigning: JWK;
  /** With a kid. */
  readonly operator: JWK;
  /** By node id. */
  readonly nodes: ReadonlyMap<string, JWK>;
  /** By client id; without those that keep theirs to themselves. */
  readonly clients: ReadonlyMap<string, JWK>;
}

/** A key file is there and can't be read: it is never replaced, and never quoted. */
export class KeyFileError extends Error {
  override readonly name = "KeyFileError";

  constructor(file: string, what: string) {
    super(`${file} does not hold ${what}: restore it, or remove it to have a new one made`);
  }
}

/** Where keys are kept below the deployment's folder. A file that is missing is made, one that is there stays. */
export const KEY_FILES = {
  grantMaster: "keys/grant-master.json",
  storage: "keys/storage.json",
  edgeSigning: "keys/edge-signing.jwk",
  operator: "keys/operator.jwk",
  node: (id: string) => `keys/nodes/${id}.jwk`,
  client: (id: string) => `keys/clients/${id}.jwk`,
} as const;

/**
 * Reads the deployment's keys and makes those that are missing; nothing is written here.
 * @throws KeyFileError
 */
export async function readOrMakeKeys(dir: string, { nodes, clients }: Answers): Promise<Keys> {
  const each = async (ids: readonly string[], file: (id: string) => string) =>
    new Map(await Promise.all(ids.map(async (id) => [id, await privateJwk(dir, file(id))] as const)));
  const [edgeSigning, operator] = await Promise.all([
    privateJwk(dir, KEY_FILES.edgeSigning),
    privateJwk(dir, KEY_FILES.operator),
  ]);
  return {
    grantMaster: readGrantMaster(dir) ?? { keys: [newSecret()], edge: 0 },
    storage: readStorage(dir) ?? [newSecret()],
    // A name of its own for each key: a verifier that knows the old one sees that it lacks this one.
    edgeSigning: { ...edgeSigning, kid: `edge-${edgeSigning.x!.slice(0, 8)}` },
    operator: { ...operator, kid: `operator-${operator.x!.slice(0, 8)}` },
    nodes: await each(
      nodes.map(({ id }) => id),
      KEY_FILES.node,
    ),
    clients: await each(
      clients.filter(({ keys, issuers }) => keys === undefined && issuers === undefined).map(({ id }) => id),
      KEY_FILES.client,
    ),
  };
}

/**
 * The next step of a change of the grant master key: a second one is made, then the edge signs under it, then the first
 * one goes. Between the steps the nodes or the edge are brought up to date, so that no grant is refused.
 */
export function nextGrantMaster({ keys: [first, second], edge }: GrantMaster): GrantMaster {
  if (second === undefined) return { keys: [first!, newSecret()], edge: 0 };
  return edge === 0 ? { keys: [first!, second], edge: 1 } : { keys: [second], edge: 0 };
}

/** The next step of a change of the storage key: a new one seals, and the old one still opens; then the old one goes. */
export function nextStorage([current, old]: readonly string[]): readonly string[] {
  return old === undefined ? [newSecret(), current!] : [current!];
}

/** A node's grant keys as its files hold them. */
export function grantKeysOf({ keys }: GrantMaster, nodeId: string): Promise<string[]> {
  return Promise.all(
    keys.map(async (key) =>
      base64url.encode(await deriveGrantKey(Uint8Array.from(base64url.decode(key)), nodeId)),
    ),
  );
}

/** The public half of a private Ed25519 JWK. */
export function publicHalf({ kty, crv, x }: JWK): JWK {
  return { kty, crv, x } as JWK;
}

function newSecret(): string {
  return randomBytes(32).toString("base64url");
}

function readGrantMaster(dir: string): GrantMaster | undefined {
  const value = readJson(dir, KEY_FILES.grantMaster, "grant master keys") as Partial<GrantMaster> | undefined;
  if (value === undefined) return undefined;
  const { keys, edge } = value;
  const isUsable =
    Array.isArray(keys) &&
    (keys.length === 1 || keys.length === 2) &&
    keys.every((key) => isSecret(key)) &&
    (edge === 0 || (edge === 1 && keys.length === 2));
  if (!isUsable) throw new KeyFileError(join(dir, KEY_FILES.grantMaster), "grant master keys");
  return { keys: keys as string[], edge };
}

function readStorage(dir: string): readonly string[] | undefined {
  const value = readJson(dir, KEY_FILES.storage, "storage keys") as { readonly keys?: unknown } | undefined;
  if (value === undefined) return undefined;
  const { keys } = value;
  const isUsable =
    Array.isArray(keys) && (keys.length === 1 || keys.length === 2) && keys.every((key) => isSecret(key));
  if (!isUsable) throw new KeyFileError(join(dir, KEY_FILES.storage), "storage keys");
  return keys as string[];
}

function isSecret(key: unknown): boolean {
  return /^[\w-]{43}$/.test(String(key));
}

async function privateJwk(dir: string, file: string): Promise<JWK> {
  const value = readJson(dir, file, "a private Ed25519 JWK") as Partial<JWK> | undefined;
  if (value === undefined) {
    const { privateKey } = await generateKeyPair("Ed25519", { extractable: true });
    const { kty, crv, x, d } = await exportJWK(privateKey);
    return { kty, crv, x, d } as JWK;
  }
  const { kty, crv, x, d } = value;
  if (kty !== "OKP" || crv !== "Ed25519" || typeof x !== "string" || typeof d !== "string") {
    throw new KeyFileError(join(dir, file), "a private Ed25519 JWK");
  }
  return { kty, crv, x, d };
}

function readJson(dir: string, file: string, what: string): unknown {
  const path = join(dir, file);
  if (!existsSync(path)) return undefined;
  try {
    return JSON.parse(readFileSync(path, "utf8")) ?? {};
  } catch (error) {
    // What the parser says may quote the key.
    const { code } = error as NodeJS.ErrnoException;
    throw new KeyFileError(path, code === undefined ? what : `${what} that can be read (${code})`);
  }
}
