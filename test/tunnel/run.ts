import { dirname, join, resolve } from "node:path";
import { createRequire } from "node:module";
import { enterNamespaces, expectNamespaces } from "../support/namespaces.ts";
import { installMissing } from "./support/packages.ts";
import { INSIDE } from "./support/setup.ts";

/**
 * `npm run test:tunnel`: real databases, and the tools that speak to them, on hosts that are network namespaces. It installs
 * what is missing of them and runs vitest in namespaces that take every process and every interface with them when they end.
 * Arguments go to vitest: `npm run test:tunnel -- test/tunnel/resume.test.ts`.
 */

const ROOT = resolve(import.meta.dirname, "../..");
const VITEST = join(dirname(createRequire(import.meta.url).resolve("vitest/package.json")), "vitest.mjs");

async function outside(): Promise<number> {
  try {
    if (process.getuid?.() !== 0) {
      throw new Error(
        "they need root: a database server runs as a user of its own, and packages may be installed",
      );
    }
    await expectNamespaces();
    await installMissing();
  } catch (error) {
    console.error(`test:tunnel: ${(error as Error).message}`);
    return 1;
  }
  process.chdir(ROOT);
  const args = [VITEST, "run", "-c", "vitest.tunnel.config.ts", ...process.argv.slice(2)];
  return enterNamespaces(args, { [INSIDE]: "1" });
}

process.exitCode = await outside();
