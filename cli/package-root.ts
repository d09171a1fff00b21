import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** The package's folder, which lies one up from the sources and two from the build; undefined where it can't be found. */
export function packageRoot(): string | undefined {
  for (let folder = import.meta.dirname; ; folder = dirname(folder)) {
    if (packageIn(folder)?.name === "holdfast") return folder;
    if (dirname(folder) === folder) return undefined;
  }
}

/** What stands in a folder's package.json; undefined where there is none. */
export function packageIn(folder: string): { readonly name?: string; readonly version?: string } | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as {
      name?: string;
      version?: string;
    };
  } catch {
    return undefined;
  }
}
