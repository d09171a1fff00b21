/** Works on the project's own wrangler.toml, so that what is deployed has its bindings, migrations and flags. */

/** What a worker is run with, wherever it runs. */
export interface Compatibility {
  readonly date: string;
  readonly flags: readonly string[];
}

/** What of a deployment stands in wrangler.toml. */
export interface WranglerSettings {
  /** Path of the worker's entry, from the file's own folder. */
  readonly main: string;
  /** The edge's origin. */
  readonly edge: string;
  /** As the edge's variable of that name. */
  readonly nodes: readonly Readonly<Record<string, unknown>>[];
  /** As the edge's variable PROXY_URLS; it is left out where there is no proxy door. */
  readonly proxies?: readonly string[] | undefined;
}

const HEADER = /^\[\[?\s*([A-Za-z0-9_.\-"]+)\s*\]\]?\s*(?:#.*)?$/;

/** The worker's compatibility date and flags. */
export function compatibilityOf(project: string): Compatibility {
  const root = tablesOf(project)[0]!.text;
  const date = /^compatibility_date\s*=\s*"([^"]+)"/m.exec(root)?.[1];
  const flags = /^compatibility_flags\s*=\s*\[([^\]]*)\]/m.exec(root)?.[1];
  if (date === undefined || flags === undefined) {
    throw new Error("the project's wrangler.toml names no compatibility date and flags");
  }
  return { date, flags: [...flags.matchAll(/"([^"]*)"/g)].map(([, flag]) => flag!) };
}

/** The project's wrangler.toml with this deployment's entry, route and variables in place of its own. */
export function wranglerToml(project: string, settings: WranglerSettings): string {
  const [root, ...tables] = tablesOf(project);
  const kept = tables.filter(({ name }) => name !== "vars" && !name.startsWith("vars."));
  const vars = tables.filter(({ name }) => name === "vars").map(({ text }) => otherVars(text));
  return [
    "# Written by `holdfast init`: change the answers and run it again.",
    rootOf(root!.text, settings),
    `[vars]\n${ownVars(settings)}${vars.join("")}`,
    ...settings.nodes.map((node) => `[[vars.NODES]]\n${entries(node)}\n`),
    ...kept.map(({ text }) => `${text.trim()}\n`),
  ].join("\n");
}

function rootOf(text: string, { main, edge }: WranglerSettings): string {
  const { host, hostname } = new URL(edge);
  const isWorkersDev = hostname.endsWith(".workers.dev");
  const lines = text
    .split("\n")
    .filter((line) => !line.startsWith("#"))
    .map((line) => {
      if (/^main\s*=/.test(line)) return `main = ${JSON.stringify(main)}`;
      if (/^workers_dev\s*=/.test(line)) {
        return isWorkersDev
          ? "workers_dev = true"
          : `workers_dev = false\nroutes = [{ pattern = ${JSON.stringify(host)}, custom_domain = true }]`;
      }
      return line;
    });
  return `${lines.join("\n").trim()}\n`;
}

function ownVars({ edge, proxies }: WranglerSettings): string {
  return `${entries({ EDGE_ORIGIN: edge, ...(proxies !== undefined && { PROXY_URLS: proxies }) })}\n`;
}

/** The lines of `[vars]` that are no deployment's own. */
function otherVars(text: string): string {
  const lines = text
    .split("\n")
    .filter((line) => /^[A-Z]/.test(line) && !/^(EDGE_ORIGIN|PROXY_URLS)\b/.test(line));
  return lines.map((line) => `${line}\n`).join("");
}

interface Table {
  /** As in `vars.NODES`; empty for what stands before the first header. */
  readonly name: string;
  /** The header with its comment before it and all that follows up to the next. */
  readonly text: string;
}

function tablesOf(text: string): Table[] {
  const tables = [{ name: "", lines: [] as string[] }];
  for (const line of text.split("\n")) {
    const name = HEADER.exec(line)?.[1];
    if (name !== undefined) {
      const before = tables.at(-1)!.lines;
      const comment = before.splice(before.findLastIndex((one) => !one.startsWith("#")) + 1);
      tables.push({ name, lines: comment });
    }
    tables.at(-1)!.lines.push(line);
  }
  return tables.map(({ name, lines }) => ({ name, text: lines.join("\n") }));
}

function entries(values: Readonly<Record<string, unknown>>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name} = ${toml(value)}`)
    .join("\n");
}

/** An inline value. JSON's strings and numbers are TOML's too. */
function toml(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(toml).join(", ")}]`;
  if (typeof value === "object" && value !== null) {
    const present = Object.entries(value).filter(([, member]) => member !== undefined);
    const members = present.map(([name, member]) => `${name} = ${toml(member)}`);
    return `{ ${members.join(", ")} }`;
  }
  return JSON.stringify(value);
}
