import { type ErrorCode, isRelayError, type RelayError } from "../../../protocol/errors.ts";
import { UnsealError } from "../../sealing.ts";
import type { AttemptResult } from "../attempt-result.ts";

/** What is stored of an event can't be used, and never will be. */
export class UnreadableError extends Error {
  override readonly name = "UnreadableError";
}

/** Where an attempt was made, as far as that is known. */
export interface Made {
  readonly node: string | null;
  readonly egress: string | null;
}

export const NOWHERE: Made = { node: null, egress: null };

/** The target can't be reached, or doesn't answer as it should. */
const TARGETS: ReadonlySet<string> = new Set<ErrorCode>([
  "dns_failed",
  "dns_timeout",
  "connect_refused",
  "connect_failed",
  "connect_timeout",
  "tls_certificate",
  "tls_failed",
  "target_reset",
  "target_closed",
  "target_protocol",
  "target_timeout",
  "target_fields_too_large",
  "status_not_representable",
]);

/** This very request is refused, and will be until somebody changes something: it must not hold others up for ever. */
const REQUESTS: ReadonlySet<string> = new Set<ErrorCode>([
  "request_invalid",
  "url_invalid",
  "fields_invalid",
  "fields_too_large",
  "too_large",
  "target_not_allowed",
  "address_refused",
  "body_cut",
]);

/** Those for whom it is sent are not there. */
const ABSENCES: ReadonlySet<string> = new Set<ErrorCode>(["client_unknown", "route_unknown", "revoked"]);

/** Whose a failure is. Whatever is not known to be another's is the relay's own. */
export function faultOf(code: string): "target" | "request" | "absence" | "stored" | "relay" {
  if (TARGETS.has(code)) return "target";
  if (REQUESTS.has(code)) return "request";
  if (ABSENCES.has(code)) return "absence";
  // The digest is the one that was taken when the body was stored.
  return code === "body_digest" ? "stored" : "relay";
}

/** What an attempt came to that failed by one of the relay's errors. */
export function resultOfError({ code, detail, retryAfter }: RelayError, made: Made): AttemptResult {
  switch (faultOf(code)) {
    case "target":
    case "request":
      return { kind: "failed", code, detail, ...made };
    case "absence":
      return { kind: "held", reason: detail };
    case "stored":
      return { kind: "unreadable", detail };
    case "relay":
      return { kind: "relay", code, detail, retryAfter: retryAfter ?? null, ...made };
  }
}

/** What an attempt came to that failed, by whatever was thrown. */
export function resultOfThrown(thrown: unknown, made: Made): AttemptResult {
  if (isRelayError(thrown)) return resultOfError(thrown, made);
  if (thrown instanceof UnreadableError) return { kind: "unreadable", detail: thrown.message };
  if (thrown instanceof UnsealError) {
    const detail = `what is stored of it can't be opened: ${thrown.message}`;
    return thrown.reason === "data"
      ? { kind: "unreadable", detail }
      : { kind: "relay", code: "edge_misconfigured", detail, retryAfter: null, ...made };
  }
  console.error("deliveries: an attempt failed", thrown);
  const detail = "the edge failed in the middle of it; its log says more";
  return { kind: "relay", code: "edge_internal", detail, retryAfter: null, ...made };
}
