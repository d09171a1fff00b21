import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { installMissing } from "./debian-packages.ts";
import { enterNamespaces, expectNamespaces } from "./namespaces.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const VITEST = join(dirname(createRequire(import.meta.url).resolve("vitest/package.json")), "vitest.mjs");

/** Tests on hosts that are network namespaces. */
export interface Suite {
  /** Its script, as in `test:tunnel`. */
  readonly name: string;
  /** What it runs, from Debian. */
  readonly packages: readonly string[];
  /** Vitest's configuration, from the project's root. */
  readonly config: string;
  /** The variable that tells its processes that they are in the namespaces. */
  readonly inside: string;
}

/**
 * Installs what is missing and runs vitest in namespaces that take every process and every interface with them when they
 * end. Arguments go to vitest: `npm run test:tunnel -- test/tunnel/resume.test.ts`. Resolves with the exit code.
 */
export async function runSuite({ name, packages, config, inside }: Suite): Promise<number> {
  try {
    if (process.getuid?.() !== 0) {
      throw new Error("they need root: servers run as users of their own, and packages may be installed");
    }
    await expectNamespaces();
    await installMissing(packages, name);
  } catch (error) {
    console.error(`${name}: ${(error as Error).message}`);
    return 1;
  }
  process.chdir(ROOT);
  return enterNamespaces([VITEST, "run", "-c", config, ...process.argv.slice(2)], { [inside]: "1" });
}

/** @throws Error outside of the namespaces, which a set-up changes */
export function expectInside({ name, inside }: Pick<Suite, "name" | "inside">): void {
  if (process.env[inside] === undefined) {
    throw new Error(`these tests change the network that they run in: start them by npm run ${name}`);
  }
}
