import { cpSync, mkdirSync, readdirSync, symlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { run } from "./run.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const MODULES = join(ROOT, "node_modules");
const TSC = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin/tsc");

/** Lays out a folder's node_modules as `npm install` does: the package as it is published, and all that is installed here. */
export async function installPackage(dir: string): Promise<void> {
  const modules = join(dir, "node_modules");
  const own = join(modules, "holdfast");
  mkdirSync(join(modules, ".bin"), { recursive: true });
  mkdirSync(join(own, "cli"), { recursive: true });
  for (const name of readdirSync(MODULES).filter((one) => !one.startsWith("."))) {
    symlinkSync(join(MODULES, name), join(modules, name));
  }
  for (const name of readdirSync(join(MODULES, ".bin"))) {
    symlinkSync(join(MODULES, ".bin", name), join(modules, ".bin", name));
  }
  symlinkSync("../holdfast/cli/holdfast.mjs", join(modules, ".bin/holdfast"));
  for (const file of ["package.json", "cli/holdfast.mjs"]) cpSync(join(ROOT, file), join(own, file));
  const build = ["-p", join(ROOT, "tsconfig.build.json"), "--outDir", join(own, "dist")];
  const { code, stdout } = await run(process.execPath, [TSC, ...build]);
  if (code !== 0) throw new Error(`the package does not build:\n${stdout}`);
}
