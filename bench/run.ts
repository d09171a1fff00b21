import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { pictures, type Result, tables, withGoals, withRatios, withResult } from "./document.ts";
import { GOALS, lineOf, verdicts } from "./goals.ts";
import { machine } from "./machine.ts";
import type { Workload } from "./workload.ts";
import { WORKLOADS } from "./workloads.ts";

/**
 * `npm run bench`: every workload, one after the other; `-- --only hooks` those whose names begin so. Results go to bench/results as JSON and
 * into docs/performance.md as tables and pictures, the ratios alone into the README. `-- --quick` measures a share, shows it, and leaves both as they are. Ends with a line for each goal that was
 * measured; bench/results/goals.json has what each came to when it was measured last.
 */

const ROOT = resolve(import.meta.dirname, "..");
const DOCUMENT = join(ROOT, "docs/performance.md");
const README = join(ROOT, "README.md");
const PICTURES = join(ROOT, "docs/performance");
const RESULTS = join(ROOT, "bench/results");
const GOALS_FILE = "goals.json";

// An exit ends what was started for the bench; a signal alone would leave it behind.
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1));

const { values } = parseArgs({
  options: { only: { type: "string" }, quick: { type: "boolean", default: false } },
});

async function measure(workload: Workload, quick: boolean): Promise<Result> {
  const dir = mkdtempSync(join(tmpdir(), `holdfast-bench-${workload.name}-`));
  const started = Date.now();
  const log = (line: string) =>
    console.log(`${workload.name} ${((Date.now() - started) / 1_000).toFixed(0).padStart(4)} s  ${line}`);
  try {
    const findings = await workload.run({ quick, dir, log });
    const at = new Date(started).toISOString();
    const seconds = (Date.now() - started) / 1_000;
    const found = verdicts(findings.ratios ?? {});
    return { name: workload.name, at, quick, seconds, machine: machine(), ...findings, verdicts: found };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function keep(workload: Workload, result: Result): void {
  mkdirSync(RESULTS, { recursive: true });
  mkdirSync(PICTURES, { recursive: true });
  writeFileSync(join(RESULTS, `${workload.name}.json`), `${JSON.stringify(result, null, 2)}\n`);
  for (const { file, svg } of pictures(result)) writeFileSync(join(PICTURES, file), svg);
  writeFileSync(DOCUMENT, withResult(readFileSync(DOCUMENT, "utf8"), workload, result));
}

/** What each goal came to when it was measured last, in the goals' own order. */
function writeGoals(): void {
  const kept = readdirSync(RESULTS).filter((file) => file.endsWith(".json") && file !== GOALS_FILE);
  const all = kept.flatMap((file) => {
    const result = JSON.parse(readFileSync(join(RESULTS, file), "utf8")) as Partial<Result>;
    const { name, at } = result;
    return (result.verdicts ?? []).map(({ goal, ratio, limit, verdict }) => ({
      goal,
      ratio,
      limit,
      verdict,
      workload: name,
      at,
    }));
  });
  const order = Object.keys(GOALS);
  all.sort((a, b) => order.indexOf(a.goal) - order.indexOf(b.goal));
  writeFileSync(join(RESULTS, GOALS_FILE), `${JSON.stringify(all, null, 2)}\n`);
  writeFileSync(DOCUMENT, withGoals(readFileSync(DOCUMENT, "utf8"), all));
  writeFileSync(README, withRatios(readFileSync(README, "utf8"), all));
}

const { only, quick } = values;
const chosen = WORKLOADS.filter(
  ({ name }) => only === undefined || name === only || name.startsWith(`${only}-`),
);
if (chosen.length === 0) {
  console.error(`bench: --only names one of ${WORKLOADS.map(({ name }) => name).join(", ")}`);
  process.exit(1);
}
const results: Result[] = [];
for (const workload of chosen) {
  try {
    const result = await measure(workload, quick);
    results.push(result);
    console.log(`\n${tables(result)}\n`);
    if (!quick) keep(workload, result);
  } catch (error) {
    // The others are worth having all the same.
    console.error(`bench: ${workload.name} failed`, error);
    process.exitCode = 1;
  }
}
if (!quick) writeGoals();
const found = results.flatMap((result) => result.verdicts);
for (const verdict of found) console.log(lineOf(verdict));
console.log(JSON.stringify({ quick, goals: found }));
