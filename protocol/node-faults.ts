import type { ErrorCode } from "./errors.ts";

/** A node's errors that are about itself: another node may do better. */
const OWN_FAULTS: ReadonlySet<string> = new Set<ErrorCode>([
  "node_draining",
  "node_out_of_service",
  "node_full",
  "node_internal",
  "request_predates_node",
]);

/** It refuses what its edge signed: keys, names or clocks differ. */
const DISAGREES = /^grant_/;

/**
 * Whether a node's error speaks of the node and not of what was asked for, so that another node can be asked where nothing has
 * begun. All else is the last word.
 *
 * @param code the field `Relay-Error` of an answer that is the node's own
 */
export function isNodesOwnFault(code: string): boolean {
  return OWN_FAULTS.has(code) || DISAGREES.test(code);
}
