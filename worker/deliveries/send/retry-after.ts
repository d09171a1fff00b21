import type { Field } from "../../../protocol/headers.ts";

/**
 * Seconds after which a target wants to be asked again (RFC 9110 section 10.2.3); null where it doesn't say, or nothing that can
 * be read.
 *
 * @param nowMs milliseconds since 1970
 */
export function retryAfterOf(fields: readonly Field[], nowMs: number): number | null {
  const value = fields.find(([name]) => name.toLowerCase() === "retry-after")?.[1].trim();
  if (value === undefined) return null;
  if (/^\d{1,9}$/.test(value)) return Number(value);
  // Of dates only those that HTTP has: others are read in whatever zone the edge is in.
  const at = value.endsWith(" GMT") ? Date.parse(value) : NaN;
  return Number.isNaN(at) ? null : Math.max(0, Math.ceil((at - nowMs) / 1_000));
}
