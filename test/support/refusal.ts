import { expect } from "vitest";
import { type ErrorCode, ERRORS, type Problem, type Reached } from "../../protocol/errors.ts";
import type { RawAnswer } from "./raw-http.ts";

/** A replay is refused before it reaches anybody; what was used before may have. */
const USED_BEFORE: ReadonlySet<ErrorCode> = new Set(["token_replayed", "request_predates_node"]);

/** What every refusal must look like: the table's status, marks for machines, and a problem that says how to mend it. */
export function expectRefusal(
  answer: RawAnswer | undefined,
  code: ErrorCode,
  reached: Reached = USED_BEFORE.has(code) ? "unknown" : "no",
): Problem {
  expect(answer?.field("relay-error") ?? answer?.body).toBe(code);
  const { status, retryable, mend, proxy } = ERRORS[code];
  expect(answer!.status).toBe(status);
  expect(answer!.field("content-type")).toBe("application/problem+json");
  expect(answer!.field("proxy-status")).toBe(`holdfast; error=${proxy}`);
  // The mark of a target's answer would tell a caller that the target was reached.
  expect(answer!.field("relay-status")).toBeUndefined();
  const problem = JSON.parse(answer!.body) as Problem;
  expect(problem).toMatchObject({ status, code, reached, retryable: retryable && reached === "no", mend });
  expect(problem.detail).not.toBe("");
  return problem;
}
