import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { resolve } from "node:path";
import type { FaultRow } from "./fault-phase.ts";
import { resultLines, type Run, summary } from "./report.ts";

/**
 * `node test/chaos/figures.ts [report]`: puts the figures of the last run into docs/resilience.md, between the marks that
 * stand there.
 */

const ROOT = resolve(import.meta.dirname, "../..");
const DOCUMENT = resolve(ROOT, "docs/resilience.md");
const BEGIN = "<!-- figures -->\n";
const END = "<!-- /figures -->";

function table(faults: readonly FaultRow[]): string {
  const rows = [...Map.groupBy(faults, ({ fault }) => fault)].map(([fault, list]) => {
    const most = (of: (row: FaultRow) => number) => Math.max(...list.map(of));
    const sum = (of: (row: FaultRow) => number) => list.reduce((total, row) => total + of(row), 0);
    const cells = [
      fault,
      list.length,
      most((row) => row.recoverySeconds).toFixed(2),
      most((row) => row.evenAfterSeconds ?? Infinity).toFixed(1),
      sum((row) => row.requests),
      sum((row) => row.getFailed),
      sum((row) => row.postFailed),
      most((row) => row.slowestMs),
    ];
    return `| ${cells.join(" | ")} |`;
  });
  return [
    "| fault | times | recovery, s | even after, s | requests | GET failed | POST failed | slowest, ms |",
    "|---|---|---|---|---|---|---|---|",
    ...rows,
  ].join("\n");
}

const run = JSON.parse(
  readFileSync(process.argv[2] ?? resolve(ROOT, "dist/chaos/report.json"), "utf8"),
) as Run;
const machine = `${cpus().length} × ${cpus()[0]!.model.trim()}, Linux, Node ${process.version}`;
const text = `Measured by \`npm run chaos -- --seed ${run.seed}\` on ${machine}; edge, nodes, target and client share it.

${table(run.faults)}

    ${resultLines(run).join("\n    ")}
    ${summary(run)}
`;
const document = readFileSync(DOCUMENT, "utf8");
const [before, rest] = [document.indexOf(BEGIN), document.indexOf(END)];
if (before === -1 || rest === -1) throw new Error(`${DOCUMENT} has no marks for the figures`);
writeFileSync(DOCUMENT, document.slice(0, before + BEGIN.length) + text + document.slice(rest));
