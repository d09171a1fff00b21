import { FORBIDDEN_MARK } from "../protocol/consumed-entries.ts";
import type { GrantClaims } from "../protocol/grants.ts";

/** Which use of a request id this is, as its grant says. */
export type Use = Pick<GrantClaims, "pass" | "attempt">;

/** A use as entries have it. */
export function markOf({ pass, attempt }: Use): string {
  return `${attempt} ${pass}`;
}

/**
 * Whether a use of a known id is the edge's own next attempt and no replay: the same pass, a later attempt. Every replay
 * passes the edge anew, and so has another pass.
 */
export function isNextAttempt(known: string, coming: string): boolean {
  return isSamePass(known, coming) && attemptOf(known) < attemptOf(coming);
}

/**
 * What is known of an id after one more was heard of it. In whatever order uses are heard, and however often, the same
 * comes out: the later attempt of one pass, and of two passes that nothing may use the id again.
 */
export function joinMarks(known: string | undefined, heard: string): string {
  if (known === undefined || known === heard) return heard;
  if (!isSamePass(known, heard)) return FORBIDDEN_MARK;
  return attemptOf(known) < attemptOf(heard) ? heard : known;
}

function isSamePass(one: string, other: string): boolean {
  return one !== FORBIDDEN_MARK && one.slice(one.indexOf(" ")) === other.slice(other.indexOf(" "));
}

function attemptOf(mark: string): number {
  return Number(mark.slice(0, mark.indexOf(" ")));
}
