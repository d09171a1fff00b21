import type { KeyObject } from "node:crypto";

/** What the generators of cases build tokens with. */
export interface Toolbox {
  readonly private: Readonly<Record<"ed25519" | "ed25519-next" | "stranger" | "es256", KeyObject>>;
  readonly masters: Readonly<Record<"current" | "next", Buffer>>;
  /** HKDF-SHA-256 (RFC 5869), empty salt, info `holdfast grant v1 LF <node id>`. */
  readonly derive: (master: Buffer, nodeId: string) => Buffer;
  readonly ed25519: (key: KeyObject, input: string) => Buffer;
  /** Fixed-width r and s, kept for a case of this name while its input stays the same. */
  readonly es256: (key: KeyObject, input: string, name: string) => Buffer;
}

/** Base64url without padding, of bytes, of text or of a value's JSON. */
export function encode(value: unknown): string {
  if (Buffer.isBuffer(value)) return value.toString("base64url");
  return Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
}

/** The fixed time of every case, unless it names its own: 2026-01-01T00:00:00Z. */
export const NOW = 1_767_225_600;

/** The edge's origin in every case. */
export const EDGE = "https://edge.example.com";

/** Bytes 0 to 15. */
export const REQUEST_ID = "AAECAwQFBgcICQoLDA0ODw";

/** Of no bytes at all. */
export const DIGEST = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
