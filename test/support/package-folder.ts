import { cpSync, mkdirSync, symlinkSync } from "node:fs";
import { join, resolve } from "node:path";
import { WORKER_DIR } from "./build-worker.ts";

const ROOT = resolve(import.meta.dirname, "../..");

/** Lays out what the command line needs of the package, with the run's bundle of the worker; returns its entry. */
export function packageFolder(dir: string): string {
  for (const part of ["cli", "client", "protocol", "worker", "package.json", "wrangler.toml"]) {
    cpSync(join(ROOT, part), join(dir, part), { recursive: true });
  }
  symlinkSync(join(ROOT, "node_modules"), join(dir, "node_modules"));
  mkdirSync(join(dir, "dist/worker"), { recursive: true });
  cpSync(join(WORKER_DIR, "index.js"), join(dir, "dist/worker/index.js"));
  return join(dir, "cli/holdfast.mjs");
}
