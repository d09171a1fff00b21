import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { getAsset, isSea } from "node:sea";

/**
 * The package's folder, which lies one up from the sources and two from the build; undefined where it can't be found, and
 * in the single-file binary, whatever stands in the folders around that.
 */
export function packageRoot(): string | undefined {
  if (isSea()) return undefined;
  for (let folder = import.meta.dirname; ; folder = dirname(folder)) {
    if (packageIn(folder)?.name === "holdfast") return folder;
    if (dirname(folder) === folder) return undefined;
  }
}

/** What stands in a folder's package.json; undefined where there is none. */
function packageIn(folder: string): PackageJson | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as PackageJson;
  } catch {
    return undefined;
  }
}

/** What is used of the package's own description. */
interface PackageJson {
  readonly name?: string;
  readonly version?: string;
}

/** The package's own description: that in its folder, or the one that the single-file binary carries. */
export function packageJson(): PackageJson | undefined {
  if (isSea()) return JSON.parse(getAsset("package.json", "utf8")) as PackageJson;
  const root = packageRoot();
  return root === undefined ? undefined : packageIn(root);
}
