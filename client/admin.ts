import { errorFromProblem, RelayError } from "../protocol/errors.ts";
import { WIRE } from "../protocol/headers.ts";
import type { BoundKey } from "../protocol/keys.ts";
import { ADMIN_TOKEN_MAX_SECONDS } from "../protocol/limits.ts";
import { digestOf, newRequestId, signToken } from "../protocol/tokens.ts";

/** Who operates an edge: its origin, and a key that its configuration lists. */
export interface Operator {
  readonly edge: string;
  /** The key's id in the edge's `OPERATOR_KEYS`. */
  readonly keyId: string;
  readonly key: BoundKey;
}

/** An answer of `/admin`: its JSON, and the version of the record. */
export interface AdminAnswer {
  readonly value: unknown;
  /** For `ifMatch` of the next write, for instance `"3"` with its quotes. */
  readonly version: string | undefined;
}

/**
 * Makes one administrative call, signed with its method, URL and body.
 *
 * @param path for instance `/admin/clients/shop`
 * @throws RelayError as the edge answered, or `edge_unreachable`
 * @example await adminCall(operator, "PUT", "/admin/clients/shop", { body: record, ifMatch: '"1"' })
 */
export async function adminCall(
  { edge, keyId, key }: Operator,
  method: "GET" | "PUT" | "POST" | "DELETE",
  path: string,
  { body, ifMatch }: { readonly body?: unknown; readonly ifMatch?: string | undefined } = {},
): Promise<AdminAnswer> {
  const url = `${edge}${path}`;
  const bytes = body === undefined ? undefined : new TextEncoder().encode(JSON.stringify(body));
  const iat = Math.floor(Date.now() / 1_000);
  const token = await signToken(
    "admin",
    {
      iss: keyId,
      aud: edge,
      act: "admin",
      iat,
      exp: iat + ADMIN_TOKEN_MAX_SECONDS,
      jti: newRequestId(),
      htm: method,
      url,
      ...(bytes !== undefined && { digest: await digestOf(bytes) }),
    },
    key,
  );
  const headers = new Headers({ [WIRE.authorization]: `Bearer ${token}` });
  if (ifMatch !== undefined) headers.set("if-match", ifMatch);
  let response: Response;
  try {
    response = await fetch(url, { method, headers, ...(bytes !== undefined && { body: bytes }) });
  } catch (cause) {
    throw new RelayError("edge_unreachable", `no answer from ${edge}`, { cause, reached: "unknown" });
  }
  const text = await response.text();
  const code = response.headers.get(WIRE.error);
  if (code !== null) throw errorFromProblem(code, text, response.headers);
  if (!response.ok) {
    throw new RelayError("edge_failed", `the edge's surroundings answered ${response.status}`);
  }
  return {
    value: text === "" ? undefined : (JSON.parse(text) as unknown),
    version: response.headers.get("etag") ?? undefined,
  };
}
