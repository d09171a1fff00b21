import { packageIn, packageRoot } from "./package-root.ts";

/** The version in package.json. */
export function version(): string {
  const root = packageRoot();
  return (root === undefined ? undefined : packageIn(root)?.version) ?? "of unknown version";
}
