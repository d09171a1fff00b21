import { type GoalName, GOALS, type Verdict } from "./goals.ts";
import type { Machine } from "./machine.ts";
import { bars } from "./picture.ts";
import { median, rounded } from "./stats.ts";
import type { Figure, Findings, Section, Workload } from "./workload.ts";

/** What a run of one workload found. */
export interface Result extends Findings {
  readonly name: string;
  readonly at: string;
  readonly quick: boolean;
  readonly seconds: number;
  readonly machine: Machine;
  readonly verdicts: readonly Verdict[];
}

/** A picture of the document, by its file's name. */
export interface Picture {
  readonly file: string;
  readonly alt: string;
  readonly svg: string;
}

/** A result as Markdown: what was measured on, a table for each section, its pictures, the goals. */
export function tables(result: Result): string {
  const { name, at, seconds, machine, sections, verdicts, peers = [], missing = [] } = result;
  const { processors, memory, system, node, workerd, compatibilityDate, commit } = machine;
  const all = pictures(result);
  return [
    `Measured on ${at.slice(0, 10)} by \`npm run bench -- --only ${name}\` at ${commit}, in ${Math.round(seconds)} s: ${processors}, ${memory}, ${system}; Node ${node}, workerd ${workerd}, compatibility date ${compatibilityDate}. All processes share the machine.`,
    ...(peers.length > 0
      ? [
          `Beside it: ${peers.map((peer) => `${peer.name} ${peer.version}`).join(" · ")}. Their configurations are in bench/results/${name}.json.`,
        ]
      : []),
    ...missing.map((peer) => `Not to be had: ${peer.name} (${peer.why}).`),
    ...(verdicts.length > 0 ? [goalTable(verdicts)] : []),
    ...sections.map((section, index) =>
      sectionText(
        section,
        all.filter(({ file }) => file.startsWith(`${name}-${index + 1}-`)),
      ),
    ),
  ].join("\n\n");
}

/** What is drawn of a result: for each section that asks for it, the figures of each unit beside each other. */
export function pictures({ name, sections }: Pick<Result, "name" | "sections">): Picture[] {
  return sections.flatMap((section, index) =>
    section.isDrawn === true ? drawn(`${name}-${index + 1}`, section) : [],
  );
}

function drawn(prefix: string, { title, figures }: Section): Picture[] {
  const units = [...new Set(figures.map(({ unit }) => unit))];
  return units.map((unit, index) => ({
    file: `${prefix}-${index + 1}.svg`,
    alt: `${title}, ${unit}`,
    svg: bars(
      title,
      unit,
      figures.filter((figure) => figure.unit === unit),
    ),
  }));
}

function sectionText({ title, note, figures }: Section, shown: readonly Picture[]): string {
  const images = shown.map(({ file, alt }) => `![${alt}](performance/${file})`);
  return [`### ${title}`, note, ...images, figureTable(figures)].join("\n\n");
}

function figureTable(figures: readonly Figure[]): string {
  return [
    "| | median | spread | unit | measured |",
    "|---|---|---|---|---|",
    ...figures.map(({ what, unit, samples }) => {
      const spread = `${rounded(Math.min(...samples))} – ${rounded(Math.max(...samples))}`;
      return `| ${what} | ${rounded(median(samples))} | ${samples.length > 1 ? spread : ""} | ${unit} | ${samples.length} × |`;
    }),
  ].join("\n");
}

/** The goals, as they came out when each was measured last, in the place of those that stood there. */
export function withGoals(document: string, verdicts: readonly Verdict[]): string {
  return between(document, "goals", goalTable(verdicts));
}

/** What a reader of the README wants to know first, whether it is good or not. */
const QUOTED: ReadonlySet<GoalName> = new Set([
  "cold-1k-direct",
  "cold-1k-squid",
  "cold-100k-direct",
  "warm-added-p50",
  "node-cpu-32",
  "edge-cpu-32",
  "connect-rate-32",
  "bulk-down-1",
  "bulk-up-1",
  "bulk-cpu",
  "stream-bulk",
  "pgbench-tps",
] as const);

/** Puts the ratios alone into the README. */
export function withRatios(readme: string, all: readonly Verdict[]): string {
  const rows = all
    .filter(({ goal }) => QUOTED.has(goal))
    .map(({ goal, ratio }) => {
      const { what, sense } = GOALS[goal];
      return `| ${what} | ${rounded(ratio)} | ${sense === "at most" ? "lower" : "higher"} |`;
    });
  return between(readme, "ratios", ["| | ratio | better |", "|---|---|---|", ...rows].join("\n"));
}

function goalTable(verdicts: readonly Verdict[]): string {
  return [
    "| goal | ratio | limit | |",
    "|---|---|---|---|",
    ...verdicts.map(({ goal, ratio, limit, verdict }) => {
      const { what, sense } = GOALS[goal];
      return `| ${what} | ${rounded(ratio)} | ${sense} ${limit} | ${verdict} |`;
    }),
  ].join("\n");
}

/**
 * Puts a result into the document, in the place of the workload's last one or else at the end.
 * @returns the document as it is then
 */
export function withResult(document: string, { title }: Workload, result: Result): string {
  return between(document, result.name, `## ${title}\n\n${tables(result)}`);
}

function between(document: string, name: string, text: string): string {
  const [begin, end] = [`<!-- bench:${name} -->`, `<!-- /bench:${name} -->`];
  const block = `${begin}\n\n${text}\n\n${end}`;
  const [from, to] = [document.indexOf(begin), document.indexOf(end)];
  if (from === -1 && to === -1) return `${document.trimEnd()}\n\n${block}\n`;
  if (from === -1 || to < from) throw new Error(`the marks of ${name} are not a pair`);
  return document.slice(0, from) + block + document.slice(to + end.length);
}
