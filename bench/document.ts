import type { Machine } from "./machine.ts";
import { median, rounded } from "./stats.ts";
import type { Section, Workload } from "./workload.ts";

/** What a run of one workload found. */
export interface Result {
  readonly name: string;
  readonly at: string;
  readonly quick: boolean;
  readonly seconds: number;
  readonly machine: Machine;
  readonly sections: readonly Section[];
}

/** A result as Markdown: a table for each section. */
export function tables({ name, at, seconds, machine, sections }: Result): string {
  const { processors, memory, system, node, workerd, compatibilityDate, commit } = machine;
  return [
    `Measured on ${at.slice(0, 10)} by \`npm run bench -- --only ${name}\` at ${commit}, in ${Math.round(seconds)} s: ${processors}, ${memory}, ${system}; Node ${node}, workerd ${workerd}, compatibility date ${compatibilityDate}. All processes share the machine.`,
    ...sections.flatMap(({ title, note, figures }) => [
      `### ${title}`,
      note,
      [
        "| | median | spread | unit | measured |",
        "|---|---|---|---|---|",
        ...figures.map(({ what, unit, samples }) => {
          const spread = `${rounded(Math.min(...samples))} – ${rounded(Math.max(...samples))}`;
          return `| ${what} | ${rounded(median(samples))} | ${samples.length > 1 ? spread : ""} | ${unit} | ${samples.length} × |`;
        }),
      ].join("\n"),
    ]),
  ].join("\n\n");
}

/**
 * Puts a result into the document, in the place of the workload's last one or else at the end.
 * @returns the document as it is then
 */
export function withResult(document: string, { title }: Workload, result: Result): string {
  const [begin, end] = [`<!-- bench:${result.name} -->`, `<!-- /bench:${result.name} -->`];
  const block = `${begin}\n\n## ${title}\n\n${tables(result)}\n\n${end}`;
  const [from, to] = [document.indexOf(begin), document.indexOf(end)];
  if (from === -1 && to === -1) return `${document.trimEnd()}\n\n${block}\n`;
  if (from === -1 || to < from) throw new Error(`the marks of ${result.name} are not a pair`);
  return document.slice(0, from) + block + document.slice(to + end.length);
}
