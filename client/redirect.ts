import type { Field } from "../protocol/headers.ts";
import { REDIRECTS_MAX } from "./limits.ts";

const REDIRECT_STATUS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** Fields that describe a body and go with it (Fetch standard, request-body-header names). */
const BODY_FIELDS: ReadonlySet<string> = new Set([
  "content-encoding",
  "content-language",
  "content-location",
  "content-type",
]);

/** Credentials for one origin, never shown to another. */
const CREDENTIAL_FIELDS: ReadonlySet<string> = new Set(["authorization", "cookie", "proxy-authorization"]);

/** What is sent in one hop, but for the body itself. */
export interface Hop {
  readonly method: string;
  readonly url: URL;
  /** The caller's own fields. */
  readonly fields: readonly Field[];
}

/** Where an answer leads: nowhere (it is the last one), on, or nowhere that may be gone to. */
export type Verdict =
  | { readonly kind: "final" }
  | { readonly kind: "follow"; readonly hop: Hop; readonly keepsBody: boolean }
  | { readonly kind: "fail"; readonly why: string };

/** Whether a status is one of the redirects that fetch follows. */
export function isRedirect(status: number): boolean {
  return REDIRECT_STATUS.has(status);
}

/**
 * The next hop by the Fetch standard's HTTP-redirect fetch.
 *
 * @param hops how many redirects were followed before this answer
 * @param body what the last hop carried: nothing, something that can be sent again, or a stream that can't
 */
export function nextHop(
  { method, url, fields }: Hop,
  answer: { readonly status: number; readonly location: string | null },
  hops: number,
  body: "none" | "replayable" | "stream",
): Verdict {
  const { status, location } = answer;
  if (!isRedirect(status) || location === null) return { kind: "final" };
  const target = URL.parse(location, url.href);
  if (target === null) return { kind: "fail", why: "the answer's Location is no URL" };
  if (target.protocol !== "https:" && target.protocol !== "http:") {
    return { kind: "fail", why: `the answer redirects to the scheme ${target.protocol.slice(0, 32)}` };
  }
  if (hops >= REDIRECTS_MAX) return { kind: "fail", why: `more than ${REDIRECTS_MAX} redirects` };

  const becomesGet =
    ((status === 301 || status === 302) && method === "POST") ||
    (status === 303 && method !== "GET" && method !== "HEAD");
  if (!becomesGet && body === "stream") {
    return { kind: "fail", why: `a ${status} asks for the body again, and a stream can be read once` };
  }
  const leavesOrigin = target.origin !== url.origin;
  const kept = fields.filter(([name]) => {
    const lower = name.toLowerCase();
    return !(becomesGet && BODY_FIELDS.has(lower)) && !(leavesOrigin && CREDENTIAL_FIELDS.has(lower));
  });
  return {
    kind: "follow",
    hop: { method: becomesGet ? "GET" : method, url: target, fields: kept },
    keepsBody: !becomesGet && body !== "none",
  };
}
