import { expect, test } from "vitest";
import { ERRORS } from "../../protocol/errors.ts";
import { isNodesOwnFault } from "../../protocol/node-faults.ts";

test("another node is asked for these alone", () => {
  expect(Object.keys(ERRORS).filter(isNodesOwnFault).toSorted()).toEqual([
    "grant_expired",
    "grant_invalid",
    "grant_missing",
    "grant_node",
    "node_draining",
    "node_full",
    "node_internal",
    "node_out_of_service",
    "request_predates_node",
  ]);
});
