import { RelayError } from "../protocol/errors.ts";

/**
 * The value of a body.
 * @throws RelayError `request_invalid`
 */
export function jsonOf(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    // The parser's own error quotes its input, which may hold a token.
    throw new RelayError("request_invalid", "the body is no JSON");
  }
}
