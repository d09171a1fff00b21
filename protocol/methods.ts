/** Safe methods (RFC 9110 section 9.2.1): the target is asked for nothing but an answer. */
const SAFE = new Set(["GET", "HEAD", "OPTIONS", "QUERY"]);

/** Idempotent ones besides (RFC 9110 section 9.2.2): twice is the same as once, though the second answer may differ. */
const IDEMPOTENT = new Set(["PUT", "DELETE"]);

/** Whether a method is safe. Names are case-sensitive. */
export function isSafe(method: string): boolean {
  return SAFE.has(method);
}

/** Whether doing it twice is the same as doing it once. */
export function isIdempotent(method: string): boolean {
  return SAFE.has(method) || IDEMPOTENT.has(method);
}
