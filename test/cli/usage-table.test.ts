import { expect, test } from "vitest";
import { type UsageRow, usageTable } from "../../cli/usage-table.ts";
import { NO_USAGE } from "../../protocol/usage.ts";

const row = (client: string, changes: Partial<UsageRow> = {}): UsageRow => ({
  client,
  ...NO_USAGE,
  ...changes,
});

test("numbers stand to the right, with a mark behind what is over a limit", () => {
  const rows = [
    row("bank", {
      requests: 12_345,
      refusals: 3,
      streams: 2,
      streamSeconds: 7_021,
      bytesUp: 5_120,
      bytesDown: 90_211,
    }),
    row("shop", { requests: 1_004, bytesDown: 812_000, quota: { requests: { soft: 900, hard: 1_000 } } }),
    row("till", {
      requests: 5,
      bytesUp: 999_600_000,
      quota: { requests: { soft: 5 }, bytes: { hard: 1e12 } },
    }),
  ];
  expect(usageTable("2026-11", rows)).toBe(`\
2026-11, UTC
CLIENT  REQUESTS  REFUSALS  STREAMS  STREAM MIN       UP     DOWN  BOTH WAYS
bank      12,345         3        2         118  5.12 kB  90.2 kB    95.3 kB
shop       1,004!        0        0           0      0 B   812 kB     812 kB
till           5*        0        0           0  1.00 GB      0 B    1.00 GB
! shop: refused until the month's end, requests stop at 1,000
* till: over 5 requests
`);
});

test("a month in which nobody used anything says so", () => {
  expect(usageTable("2025-01", [])).toBe("2025-01: nobody used anything\n");
});
