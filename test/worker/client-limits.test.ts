import { expect, test } from "vitest";
import type { GrantLimits } from "../../protocol/grants.ts";
import { grantLimits } from "../../worker/client-limits.ts";
import type { ClientLimits } from "../../worker/clients.ts";

test.each<[ClientLimits, number, GrantLimits]>([
  [{}, 1, { rate: 5_000, concurrent: 2_000 }],
  [{}, 2, { rate: 2_500, concurrent: 1_000 }],
  [{ requestsPerSecond: 10 }, 4, { rate: 2.5, concurrent: 500 }],
  [{ concurrent: 3 }, 2, { rate: 2_500, concurrent: 2 }],
  [{ concurrent: 1 }, 8, { rate: 625, concurrent: 1 }],
  [{ requestsPerSecond: 0.1 }, 5, { rate: 0.1, concurrent: 400 }],
  [{ bytesPerSecond: 1_000_000 }, 4, { rate: 1_250, concurrent: 500, bytes: 250_000 }],
  [{ requestsPerSecond: 7 }, 0, { rate: 7, concurrent: 2_000 }],
])("%j over %d nodes", (limits, nodes, expected) => {
  expect(grantLimits(limits, nodes)).toEqual(expected);
});
