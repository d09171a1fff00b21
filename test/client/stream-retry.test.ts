import { expect, test } from "vitest";
import { mayPass, retryDelay } from "../../client/stream-retry.ts";
import { type ErrorCode, ERRORS, RelayError } from "../../protocol/errors.ts";

test("a connection is replaced at once, then after waits that double to two seconds, each by chance up to half shorter", () => {
  const waits = (random: number) =>
    [0, 1, 2, 3, 4, 5, 50, 5_000].map((failures) => retryDelay(failures, random));
  expect(waits(1)).toEqual([0, 250, 500, 1_000, 2_000, 2_000, 2_000, 2_000]);
  expect(waits(0)).toEqual([0, 125, 250, 500, 1_000, 1_000, 1_000, 1_000]);
});

test("what may pass is waited for; what was said of the stream, the token or the target is final", () => {
  const passing = (Object.keys(ERRORS) as ErrorCode[]).filter((code) => mayPass(new RelayError(code, "")));
  expect(passing.toSorted()).toEqual([
    "concurrency_limited",
    "edge_failed",
    "edge_internal",
    "edge_unreachable",
    "grant_expired",
    "issuer_unavailable",
    "no_node",
    "node_draining",
    "node_failed",
    "node_internal",
    "node_out_of_service",
    "node_unreachable",
    "platform_token_failed",
    "rate_limited",
    "registry_unavailable",
    "request_predates_node",
    "token_replayed",
  ]);
});
