import { expect, test } from "vitest";
import { type Result, withResult } from "../../bench/document.ts";
import { cpuMs, machine } from "../../bench/machine.ts";
import { median, rounded } from "../../bench/stats.ts";
import { alternate, type Workload } from "../../bench/workload.ts";

test("the middle of a few, and figures that count", () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
  expect(median([])).toBeNaN();
  expect([1234.5, 12.345, 0.012345, Number.NaN].map((value) => rounded(value))).toEqual([
    "1235",
    "12.3",
    "0.0123",
    "–",
  ]);
});

test("sides are measured in turn, every other round backwards", async () => {
  const order: string[] = [];
  const side = (name: string) => async () => order.push(name);
  const samples = await alternate(3, { a: side("a"), b: side("b") });
  expect(order.join("")).toBe("abbaab");
  expect(samples).toEqual({ a: [1, 4, 5], b: [2, 3, 6] });
});

test("a result takes the place of the last one in the document", () => {
  const workload: Workload = { name: "x", title: "X of it", run: async () => [] };
  const result = (sample: number): Result => ({
    name: "x",
    at: "2026-11-28T17:00:00.000Z",
    quick: false,
    seconds: 1,
    machine: machine(),
    sections: [{ title: "t", note: "n", figures: [{ what: "w", unit: "ms", samples: [sample, 3, 5] }] }],
  });
  const first = withResult("# P\n\nText.\n", workload, result(1));
  expect(first).toContain("## X of it");
  expect(first).toContain("| w | 3 | 1 – 5 | ms | 3 × |");
  const second = withResult(`${first}\nMore.\n`, workload, result(9));
  expect(second).toContain("| w | 5 | 3 – 9 | ms | 3 × |");
  expect(second.match(/bench:x/g)).toHaveLength(2);
  expect(second.startsWith("# P\n\nText.\n")).toBe(true);
  expect(second.endsWith("\nMore.\n")).toBe(true);
});

test("a process that computes is seen to", () => {
  const before = cpuMs(process.pid);
  const until = Date.now() + 100;
  while (Date.now() < until);
  expect(cpuMs(process.pid) - before).toBeGreaterThanOrEqual(50);
});
