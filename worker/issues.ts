import type * as z from "zod/mini";

/** What is wrong with a value, to stand behind its path. The small zod has no words of its own: it says "Invalid input". */
export function tellIssue(issue: z.core.$ZodIssue): string {
  if (issue.code === "unrecognized_keys") return `has unknown keys: ${issue.keys.join(", ")}`;
  if (issue.code === "invalid_type") return `must be of type ${issue.expected}`;
  if (issue.code === "invalid_value") return `must be ${issue.values.map(String).join(" or ")}`;
  return issue.message;
}
