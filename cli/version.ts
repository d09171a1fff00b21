import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** The version in package.json, which lies one folder up from the sources and two from the build. */
export function version(): string {
  for (let folder = import.meta.dirname; ; folder = dirname(folder)) {
    try {
      const read = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as {
        name?: string;
        version?: string;
      };
      if (read.name === "holdfast" && read.version !== undefined) return read.version;
    } catch {
      // Not here: the next folder up.
    }
    if (dirname(folder) === folder) return "of unknown version";
  }
}
