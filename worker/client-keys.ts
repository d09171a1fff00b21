import { calculateJwkThumbprint, type JWK } from "jose";
import * as z from "zod/mini";
import { algorithmOf } from "../protocol/keys.ts";
import { CLIENT_KEYS_MAX } from "../protocol/limits.ts";
import type { Client } from "./clients.ts";

/** A public key as a client's record has it. */
export interface ClientJwk extends JWK {
  /** Seconds since 1970 from which on it verifies nothing, as in the JWKs of OpenID Federation. */
  readonly exp?: number | undefined;
}

/** A key of a client's, by its RFC 7638 thumbprint. */
export interface ClientKey {
  readonly key: string;
  /** Seconds since 1970 from which on it verifies nothing; null for one that stays. */
  readonly exp: number | null;
}

/** The keys of a client's record. */
export const clientKeysSchema = z
  .array(
    z
      .looseObject({ kty: z.string(), exp: z.optional(z.int().check(z.positive("must lie after 1970"))) })
      .check(
        z.refine(
          (jwk) => algorithmOf(jwk) !== undefined && !("d" in jwk),
          "must be a public Ed25519 or P-256 JWK",
        ),
      ),
  )
  .check(
    z.maxLength(CLIENT_KEYS_MAX, `must hold at most ${CLIENT_KEYS_MAX} keys`),
    // Of the same key twice one could end and the other go on.
    z.refine(
      (keys) =>
        new Set(keys.map(({ kty, crv, x, y }) => JSON.stringify([kty, crv, x, y]))).size === keys.length,
      "must not hold a key twice",
    ),
  );

/** A record's keys by their thumbprints, with their ends. */
export async function thumbprintsOf(keys: readonly ClientJwk[]): Promise<ClientKey[]> {
  return Promise.all(
    keys.map(async (jwk) => ({ key: await calculateJwkThumbprint(jwk), exp: jwk.exp ?? null })),
  );
}

/**
 * A client with the keys that are good now: one that has ended is as none.
 * @param nowMs milliseconds since 1970
 */
export function withLiveKeys(client: Client, nowMs: number): Client {
  const { keys, thumbprints, keyEnds } = client;
  if (keyEnds.every((end) => nowMs < end)) return client;
  const live = <T>(list: readonly T[]) => list.filter((_, index) => nowMs < keyEnds[index]!);
  return { ...client, keys: live(keys), thumbprints: live(thumbprints), keyEnds: live(keyEnds) };
}
