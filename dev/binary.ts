import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { build } from "esbuild";
import { withoutDebugInformation } from "./elf.ts";

/**
 * `npm run build:binary`: the `holdfast` command as one file, with the Node that runs this script inside. The same sources
 * and the same Node give the same bytes, in whatever folder.
 */

const ROOT = resolve(import.meta.dirname, "..");
const NAME = "holdfast-linux-x64";

/**
 * What Node is told of the file. Its own flags are taken from nowhere: neither NODE_OPTIONS, which belongs to the program
 * that `holdfast run` starts, nor the command line. The code is not cached: that would save a fifth of the
 * start, make each build another, and V8 warns on stderr where it has to refuse a cache.
 */
const CONFIG = {
  main: "holdfast.mjs",
  mainFormat: "module",
  executable: "node",
  output: NAME,
  execArgv: [],
  execArgvExtension: "none",
  disableExperimentalSEAWarning: true,
  useCodeCache: false,
  assets: { "package.json": "package.json" },
};

/** Builds the binary into a folder; returns its path. */
export async function buildBinary(dir: string): Promise<string> {
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new Error(
      `the binary is built on Linux x64, with the Node of that: this is ${process.platform} ${process.arch}`,
    );
  }
  // Beside the output and with names alone in the configuration, which ends up in the file.
  const parts = join(dir, `${NAME}.parts`);
  rmSync(parts, { recursive: true, force: true });
  mkdirSync(parts, { recursive: true });
  await bundle(join(parts, CONFIG.main));
  writeFileSync(join(parts, CONFIG.executable), withoutDebugInformation(readFileSync(process.execPath)), {
    mode: 0o755,
  });
  copyFileSync(join(ROOT, "package.json"), join(parts, "package.json"));
  writeFileSync(join(parts, "sea.json"), JSON.stringify(CONFIG));
  await promisify(execFile)(process.execPath, ["--build-sea", "sea.json"], { cwd: parts });
  const binary = join(dir, NAME);
  copyFileSync(join(parts, NAME), binary);
  rmSync(parts, { recursive: true });
  return binary;
}

async function bundle(outfile: string): Promise<void> {
  await build({
    entryPoints: [join(ROOT, "cli/binary.ts")],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    target: `node${process.versions.node}`,
    // Names stay, for stack traces that can be read.
    minifySyntax: true,
    minifyWhitespace: true,
    // Packages in CommonJS get the built-in modules and nothing from the disk around the binary.
    banner: { js: "const require=process.getBuiltinModule;" },
    // ws would look for native helpers beside itself.
    define: { "process.env.WS_NO_BUFFER_UTIL": '"1"', "process.env.WS_NO_UTF_8_VALIDATE": '"1"' },
    logLevel: "error",
  });
}

if (import.meta.main) {
  const binary = await buildBinary(join(ROOT, "dist"));
  const bytes = readFileSync(binary);
  const megabytes = (bytes.length / 1e6).toFixed(0);
  console.log(`${binary}: ${megabytes} MB, sha256 ${createHash("sha256").update(bytes).digest("hex")}`);
}
