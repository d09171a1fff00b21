import * as z from "zod/mini";

/**
 * What a client's `allow` does with what it doesn't name: `enforce` refuses it, `report` lets it through and tells of it. A scope
 * token's own list, and a node's guard, hold in either.
 */
export const policyModeSchema = z.enum(["enforce", "report"]);

export type PolicyMode = z.infer<typeof policyModeSchema>;
