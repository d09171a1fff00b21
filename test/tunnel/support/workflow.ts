/** What is read of a GitHub Actions workflow. */
export interface Workflow {
  /** The job's `env:`, as it is written. */
  readonly env: Readonly<Record<string, string>>;
  /** The scripts of the steps that have a `run:`, in order. */
  readonly scripts: readonly string[];
}

/**
 * Reads the one job of a workflow. Of YAML it knows what such a file needs: `env:` with one `NAME: value` a line, and `run:` with a
 * script on its line or, behind `|`, on the deeper lines that follow.
 */
export function readWorkflow(text: string): Workflow {
  const lines = text.split("\n");
  const block = (from: number): string[] => {
    const depth = indentOf(lines[from]!);
    const length = lines.slice(from + 1).findIndex((line) => line.trim() !== "" && indentOf(line) <= depth);
    return lines.slice(from + 1, length === -1 ? undefined : from + 1 + length);
  };
  const env = block(lines.findIndex((line) => /^ +env:$/.test(line))).flatMap((line) => {
    const [, name, value] = /^\s+([A-Z_]+): (.*)$/.exec(line) ?? [];
    return name === undefined ? [] : [[name, value!] as const];
  });
  const scripts = lines.flatMap((line, at) => {
    const [, script] = /^[ -]+run: (.*)$/.exec(line) ?? [];
    if (script === undefined) return [];
    return [
      script === "|"
        ? `${block(at)
            .map((one) => one.trim())
            .join("\n")
            .trim()}\n`
        : `${script}\n`,
    ];
  });
  return { env: Object.fromEntries(env), scripts };
}

function indentOf(line: string): number {
  return line.length - line.trimStart().length;
}
