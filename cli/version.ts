import { packageJson } from "./package-root.ts";

/** The version in package.json. */
export function version(): string {
  return packageJson()?.version ?? "of unknown version";
}
