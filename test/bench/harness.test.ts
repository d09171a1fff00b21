import { expect, test } from "vitest";
import { pictures, type Result, withRatios, withResult } from "../../bench/document.ts";
import { lineOf, verdicts } from "../../bench/goals.ts";
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
  const workload: Workload = { name: "x", title: "X of it", run: async () => ({ sections: [] }) };
  const result = (sample: number): Result => ({
    name: "x",
    at: "2026-11-28T17:00:00.000Z",
    quick: false,
    seconds: 1,
    machine: machine(),
    sections: [{ title: "t", note: "n", figures: [{ what: "w", unit: "ms", samples: [sample, 3, 5] }] }],
    verdicts: [],
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

test("a goal is met or short, by its own sense, and what is no number is short", () => {
  const found = verdicts({
    "pgbench-tps": 0.61,
    "tunnel-memory": 20.1,
    "cold-1k-direct": 0.7,
    "stream-bulk": Number.NaN,
  });
  expect(found.map((verdict) => lineOf(verdict))).toEqual([
    "goal cold-1k-direct ratio=0.7 limit=0.7 met",
    "goal stream-bulk ratio=– limit=0.7 short",
    "goal tunnel-memory ratio=20.1 limit=20 short",
    "goal pgbench-tps ratio=0.61 limit=0.6 met",
  ]);
});

test("the README has ratios alone, met or short, and says which way is better", () => {
  const found = verdicts({ "cold-1k-direct": 0.718, "connect-rate-32": 0.627, "tunnel-memory": 12 });
  const readme = withRatios("# H\n\n<!-- bench:ratios -->\nstale\n<!-- /bench:ratios -->\n\nrest\n", found);
  expect(readme).toContain("| a cold call of 1 kB, to direct | 0.718 | lower |");
  expect(readme).toContain(
    "| CONNECTs per second, 32 at once, by one process, to Squid's | 0.627 | higher |",
  );
  expect(readme).not.toMatch(/stale|met|short|kB for each/);
  expect(readme.endsWith("<!-- /bench:ratios -->\n\nrest\n")).toBe(true);
});

test("what a section draws is a picture for each unit, with names as text", () => {
  const figure = (what: string, unit: string) => ({ what, unit, samples: [1, 2, 3] });
  const figures = [figure("Holdfast <node>", "ms"), figure("Squid", "ms"), figure("Squid", "µs")];
  const drawn = pictures({ name: "x", sections: [{ title: "t", note: "n", figures, isDrawn: true }] });
  expect(drawn.map(({ file }) => file)).toEqual(["x-1-1.svg", "x-1-2.svg"]);
  expect(drawn[0]!.svg).toContain(">Holdfast &lt;node&gt;</text>");
  expect(drawn[0]!.svg.match(/<rect /g)).toHaveLength(2);
});

test("a process that computes is seen to", () => {
  const before = cpuMs(process.pid);
  const start = process.cpuUsage();
  // As it is told by the system: a busy machine gives it no more than a share of any time.
  for (let spent = 0; spent < 100_000;) {
    const { user, system } = process.cpuUsage(start);
    spent = user + system;
  }
  expect(cpuMs(process.pid) - before).toBeGreaterThanOrEqual(50);
});
