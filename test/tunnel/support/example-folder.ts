import { chmodSync, cpSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

const EXAMPLES = resolve(import.meta.dirname, "../../../examples");

/** Copies an example's folder to a new one below `dir`, with the names of the tests' network in place of example.com's. */
export function exampleFolder(name: string, dir: string): string {
  const folder = mkdtempSync(join(dir, "example-"));
  cpSync(join(EXAMPLES, name), folder, { recursive: true });
  chmodSync(folder, 0o755);
  for (const file of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    const path = join(folder, file);
    if (!statSync(path).isFile()) continue;
    const text = readFileSync(path, "utf8");
    writeFileSync(path, text.replaceAll(".example.com", ".example.test"));
  }
  return folder;
}
