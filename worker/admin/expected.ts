import type { Context } from "hono";
import { RelayError } from "../../protocol/errors.ts";
import type { Expected } from "../registry/versions.ts";

/**
 * RFC 9110 section 13.1: `If-Match: "3"`, `If-Match: *`; without it a write may only create.
 * @throws RelayError `request_invalid`
 */
export function expected(c: Context): Expected {
  const match = c.req.header("if-match");
  if (match === undefined) return "none";
  if (match === "*") return "any";
  const version = /^"([1-9]\d{0,14})"$/.exec(match)?.[1];
  if (version === undefined) {
    throw new RelayError("request_invalid", 'If-Match must be "*" or one version, as in "3"');
  }
  return Number(version);
}
