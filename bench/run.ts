import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { type Result, tables, withResult } from "./document.ts";
import { hooksBacklog, hooksRate, hooksStored } from "./hooks.ts";
import { machine } from "./machine.ts";
import type { Workload } from "./workload.ts";

/**
 * `npm run bench`: every workload, one after the other; `-- --only hooks` those whose names begin so. Results go to bench/results as JSON and
 * into docs/performance.md as tables. `-- --quick` measures a share, shows it, and leaves both as they are.
 */

const WORKLOADS: readonly Workload[] = [hooksRate, hooksBacklog, hooksStored];

const ROOT = resolve(import.meta.dirname, "..");
const DOCUMENT = join(ROOT, "docs/performance.md");
const RESULTS = join(ROOT, "bench/results");
const NEW_DOCUMENT = "# Performance\n";

const { values } = parseArgs({
  options: { only: { type: "string" }, quick: { type: "boolean", default: false } },
});

async function measure(workload: Workload, quick: boolean): Promise<Result> {
  const dir = mkdtempSync(join(tmpdir(), `holdfast-bench-${workload.name}-`));
  const started = Date.now();
  const log = (line: string) =>
    console.log(`${workload.name} ${((Date.now() - started) / 1_000).toFixed(0).padStart(4)} s  ${line}`);
  try {
    const sections = await workload.run({ quick, dir, log });
    const at = new Date(started).toISOString();
    const seconds = (Date.now() - started) / 1_000;
    return { name: workload.name, at, quick, seconds, machine: machine(), sections };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

const { only, quick } = values;
const chosen = WORKLOADS.filter(
  ({ name }) => only === undefined || name === only || name.startsWith(`${only}-`),
);
if (chosen.length === 0) {
  console.error(`bench: --only names one of ${WORKLOADS.map(({ name }) => name).join(", ")}`);
  process.exit(1);
}
for (const workload of chosen) {
  const result = await measure(workload, quick);
  console.log(`\n${tables(result)}\n`);
  if (quick) continue;
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(join(RESULTS, `${workload.name}.json`), `${JSON.stringify(result, null, 2)}\n`);
  const document = existsSync(DOCUMENT) ? readFileSync(DOCUMENT, "utf8") : NEW_DOCUMENT;
  writeFileSync(DOCUMENT, withResult(document, workload, result));
}
