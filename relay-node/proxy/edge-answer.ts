import {
  type ErrorCode,
  errorFromProblem,
  isErrorCode,
  RelayError,
  withReached,
} from "../../protocol/errors.ts";
import { WIRE } from "../../protocol/headers.ts";
import type { EdgeAnswer } from "../edge-client.ts";

/** What the edge said. */
export type EdgeWord =
  /** Nothing of the grant is proven yet. */
  | { readonly kind: "granted"; readonly grant: string }
  /** It judged: no. `of` says for which targets: every one, or the one that was asked for. */
  | { readonly kind: "refused"; readonly error: RelayError; readonly of: "credential" | "target" }
  /** It did not judge. */
  | Unjudged;

/** Nobody judged. */
export interface Unjudged {
  readonly kind: "unjudged";
  /** What the user is told where nothing else is known. */
  readonly error: RelayError;
  /** Why, for a log. */
  readonly cause: string;
  /** The edge is there, and put off this one question alone. */
  readonly isEdgeThere: boolean;
}

/** Refusals of a credential, whatever the target. */
const OF_CREDENTIAL: ReadonlySet<ErrorCode> = new Set([
  "token_malformed",
  "token_type",
  "token_act",
  "token_signature",
  "token_expired",
  "token_premature",
  "token_lifetime",
  "token_audience",
  "token_revoked",
  "handle_unknown",
  "client_unknown",
  "proxy_credentials_missing",
  "proxy_credentials_invalid",
  "node_unknown",
  "quota_exceeded",
]);

/** Refusals by status that are about what was asked for: the request's form, and policy. */
const OF_TARGET: ReadonlySet<number> = new Set([400, 403]);

/** Not about the user at all, whatever their status: the hop between node and edge. */
const OF_HOP: ReadonlySet<string> = new Set(["node_unproven", "body_digest", "token_missing", "grant_node"]);

/** Of these, no other question fares better. */
const OF_EDGE: ReadonlySet<ErrorCode> = new Set(["registry_unavailable"]);

/** What the edge answered. */
export function wordOf({ status, field, text }: EdgeAnswer): EdgeWord {
  if (status === 200) return grantIn(text);
  const code = field(WIRE.error);
  if (code === null || !/^[a-z0-9_]{1,40}$/.test(code)) return unanswered(`status ${status}`);
  if (OF_HOP.has(code)) return unanswered(code);
  // Nothing has been dialled.
  const error = withReached(errorFromProblem(code, text, { get: field }), "no");
  const isKnown = isErrorCode(code);
  // A newer edge's code is known by the answer's status.
  if (isKnown ? OF_CREDENTIAL.has(code) : status === 401 || status === 407) {
    return { kind: "refused", error, of: "credential" };
  }
  if (OF_TARGET.has(isKnown ? error.status : status)) return { kind: "refused", error, of: "target" };
  if (!isKnown || !error.retryable) return unanswered(code);
  return { kind: "unjudged", error, cause: code, isEdgeThere: !OF_EDGE.has(code) };
}

/** @param cause quotes nothing of what was sent */
export function unanswered(cause: string): Unjudged {
  const error = new RelayError("authorization_unavailable", "this node can't ask its edge at the moment");
  return { kind: "unjudged", error, cause, isEdgeThere: false };
}

function grantIn(text: string): EdgeWord {
  try {
    const answer: unknown = JSON.parse(text);
    const { grant } = answer as { readonly grant?: unknown };
    if (typeof grant === "string") return { kind: "granted", grant };
  } catch {
    // Told apart from a page of something in between by nothing but its form.
  }
  return unanswered("no grant in the answer");
}
