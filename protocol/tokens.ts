import { base64url, decodeProtectedHeader, type ProtectedHeaderParameters } from "jose";
import { RelayError } from "./errors.ts";
import { encodeHeader, isSignedBy, signCompact } from "./jws.ts";
import { type BoundKey, SIGNING_ALGORITHMS, type SigningKey } from "./keys.ts";
import { TOKEN_MAX_BYTES } from "./limits.ts";

/** Every kind of token has its own `typ`, so that none can stand in for another (RFC 8725 section 3.11). */
export const TOKEN_TYPES = {
  request: "holdfast-request+jwt",
  /** Many requests to a few targets by one door, signed by the client. */
  scope: "holdfast-scope+jwt",
  grant: "holdfast-grant+jwt",
  admin: "holdfast-admin+jwt",
  /** A node speaks to another node of its pool. */
  node: "holdfast-node+jwt",
  /** A node says from where a request left. */
  receipt: "holdfast-receipt+jwt",
  /** The edge's list of published addresses. */
  egress: "holdfast-egress+jwt",
  /** The edge says which key stands for a client that a platform vouches for. */
  certificate: "holdfast-certificate+jwt",
} as const;

/** Headers as nearly all tokens have them, by how they stand there: they need not be read each time. */
const USUAL_HEADERS: ReadonlyMap<string, ProtectedHeaderParameters> = new Map(
  Object.values(TOKEN_TYPES).flatMap((typ) =>
    SIGNING_ALGORITHMS.flatMap((alg) =>
      [
        { alg, typ },
        { typ, alg },
      ].map((header) => [encodeHeader(header), header] as const),
    ),
  ),
);

function headerOf(token: string): ProtectedHeaderParameters {
  return USUAL_HEADERS.get(token.slice(0, token.indexOf("."))) ?? decodeProtectedHeader(token);
}

/** A request id: 128 bits in unpadded base64url. */
export const REQUEST_ID = /^[A-Za-z0-9_-]{21}[AQgw]$/;

const ID_BYTES = 16;
const RANDOM_IDS = 64;
/** Random bytes for the next ids: to ask the system for them one by one costs several times an id's making. */
const random = new Uint8Array(RANDOM_IDS * ID_BYTES);
let nextRandom = random.length;

/** A fresh request id. */
export function newRequestId(): string {
  if (nextRandom === random.length) {
    crypto.getRandomValues(random);
    nextRandom = 0;
  }
  const bytes = random.subarray(nextRandom, (nextRandom += ID_BYTES));
  const id = base64url.encode(bytes);
  // What an id was made of stays nowhere.
  bytes.fill(0);
  return id;
}

/** `sha-256=:…:` of some bytes (RFC 9530). */
export async function digestOf(body: Uint8Array<ArrayBuffer> | ArrayBuffer): Promise<string> {
  return digestMember(new Uint8Array(await crypto.subtle.digest("SHA-256", body)));
}

/** The RFC 9530 member of a SHA-256 that was computed elsewhere. */
export function digestMember(sha256: Uint8Array): string {
  return `sha-256=:${btoa(String.fromCharCode(...sha256))}:`;
}

/**
 * Signs a token of one kind.
 * @example await signToken("request", claims, await importPrivateKey(address.privateKey))
 */
export function signToken(
  kind: Exclude<keyof typeof TOKEN_TYPES, "grant">,
  claims: object,
  { alg, key, certificate }: SigningKey,
  kid?: string,
): Promise<string> {
  const header = encodeHeader({
    alg,
    typ: TOKEN_TYPES[kind],
    ...(kid !== undefined && { kid }),
    ...(certificate !== undefined && { certificate }),
  });
  return signCompact(header, claims, alg, key);
}

/** What stands in a token before anything of it is proven: good for finding the key, for nothing else. */
export interface Unverified {
  readonly token: string;
  readonly claims: Readonly<Record<string, unknown>>;
  /** The certificate of the key that signed it, where its header carries one. */
  readonly certificate?: string;
}

/** The two parts of a compact JWS that are JSON. */
export interface TokenParts {
  readonly header: ProtectedHeaderParameters;
  readonly claims: unknown;
}

/**
 * Decodes a compact JWS of at most `TOKEN_MAX_BYTES`. Nothing is proven by this.
 * @throws Error whose message may quote the token
 */
export function decodeParts(token: string): TokenParts {
  if (token.length > TOKEN_MAX_BYTES || !/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) {
    throw new Error(`it is no compact JWS of at most ${TOKEN_MAX_BYTES} bytes`);
  }
  const header = headerOf(token);
  const payload = token.slice(token.indexOf(".") + 1, token.lastIndexOf("."));
  return { header, claims: JSON.parse(utf8.decode(base64url.decode(payload))) };
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });

/** Whether a payload is what claims stand in. */
export function isClaims(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Reads `Bearer <token>` and checks size, shape and typ. Nothing is proven by this.
 * @throws RelayError `token_missing`, `token_malformed`, `token_type`
 */
export function readBearer(
  kind: keyof typeof TOKEN_TYPES,
  authorization: string | null | undefined,
): Unverified {
  if (authorization === null || authorization === undefined || authorization === "") {
    throw new RelayError("token_missing", "the request carries no token");
  }
  const token = /^Bearer ([\w.-]+)$/i.exec(authorization)?.[1];
  if (token === undefined || token.length > TOKEN_MAX_BYTES) {
    throw malformed(`it is not "Bearer" and one compact JWS of at most ${TOKEN_MAX_BYTES} bytes`);
  }
  let parts: TokenParts;
  try {
    parts = decodeParts(token);
  } catch (cause) {
    throw malformed("its parts are no base64url of JSON", cause);
  }
  const { header, claims } = parts;
  if (header.b64 !== undefined) throw malformed("RFC 7797 section 7: a JWT has no b64 in its header");
  if (header.typ !== TOKEN_TYPES[kind]) throw new RelayError("token_type", `typ is not ${TOKEN_TYPES[kind]}`);
  if (!isClaims(claims)) throw malformed("its payload is no object");
  const { certificate } = header;
  if (certificate !== undefined && typeof certificate !== "string") {
    throw malformed("the certificate in its header is no string");
  }
  return { token, claims, ...(certificate !== undefined && { certificate }) };
}

/**
 * Proves a token by one of the keys that its issuer has registered. The algorithm is the key's own; a token that names
 * another one fails like any wrong signature.
 *
 * @returns the key that verifies it
 * @throws RelayError `token_signature`
 */
export async function verifySignature({ token }: Unverified, keys: readonly BoundKey[]): Promise<BoundKey> {
  for (const bound of keys) {
    try {
      if (await isSignedBy(token, headerOf(token), bound)) return bound;
    } catch {
      // The next key may be the one.
    }
  }
  throw new RelayError("token_signature", "no registered key of the issuer verifies the token");
}

/** A token whose shape is wrong. */
export function malformed(why: string, cause?: unknown): RelayError {
  return new RelayError("token_malformed", why, { cause });
}
