import { expect, test } from "vitest";
import type { GrantLimits } from "../../protocol/grants.ts";
import { grantLimits } from "../../worker/client-limits.ts";
import type { ClientLimits } from "../../worker/clients.ts";

/** By default: 1,000 streams over the pool, each an hour idle and a day in all at most. */
const streams = (over: number) => ({ streams: 1_000 / over, idle: 3_600, lifetime: 86_400 });

test.each<[ClientLimits, number, GrantLimits]>([
  [{}, 1, { rate: 5_000, concurrent: 2_000, ...streams(1) }],
  [{}, 2, { rate: 2_500, concurrent: 1_000, ...streams(2) }],
  [{ requestsPerSecond: 10 }, 4, { rate: 2.5, concurrent: 500, ...streams(4) }],
  [{ concurrent: 3 }, 2, { rate: 2_500, concurrent: 2, ...streams(2) }],
  [{ concurrent: 1 }, 8, { rate: 625, concurrent: 1, ...streams(8) }],
  [{ requestsPerSecond: 0.1 }, 5, { rate: 0.1, concurrent: 400, ...streams(5) }],
  [{ bytesPerSecond: 1_000_000 }, 4, { rate: 1_250, concurrent: 500, bytes: 250_000, ...streams(4) }],
  [{ requestsPerSecond: 7 }, 0, { rate: 7, concurrent: 2_000, ...streams(1) }],
  [{ streams: 3 }, 2, { rate: 2_500, concurrent: 1_000, ...streams(2), streams: 2 }],
  [{ streams: 1 }, 8, { rate: 625, concurrent: 250, ...streams(8), streams: 1 }],
  [{ streamIdleSeconds: 60 }, 2, { rate: 2_500, concurrent: 1_000, ...streams(2), idle: 60 }],
  [{ streamLifetimeSeconds: 60 }, 2, { rate: 2_500, concurrent: 1_000, ...streams(2), lifetime: 60 }],
  [{ scopeSeconds: 60 }, 2, { rate: 2_500, concurrent: 1_000, ...streams(2) }],
])("%j over %d nodes", (limits, nodes, expected) => {
  expect(grantLimits(limits, nodes)).toEqual(expected);
});
