import * as z from "zod/mini";
import { RelayError } from "../protocol/errors.ts";

/** What is wrong with a value, to stand behind its path. The small zod has no words of its own: it says "Invalid input". */
export function tellIssue(issue: z.core.$ZodIssue): string {
  if (issue.code === "unrecognized_keys") return `has unknown keys: ${issue.keys.join(", ")}`;
  if (issue.code === "invalid_type") return `must be of type ${issue.expected}`;
  if (issue.code === "invalid_value") return `must be ${issue.values.map(String).join(" or ")}`;
  return issue.message;
}

/**
 * Checks a body and reports every problem at once.
 * @throws RelayError `request_invalid`
 */
export function parseBody<T>(schema: z.ZodMiniType<T>, value: unknown): T {
  const { data, error } = z.safeParse(schema, value);
  if (error === undefined) return data;
  const problems = error.issues.map((issue) => `${issue.path.join(".") || "the body"} ${tellIssue(issue)}`);
  throw new RelayError("request_invalid", problems.join("; "));
}
