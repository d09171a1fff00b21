import { join } from "node:path";
import { defineConfig } from "vitest/config";
import { SLOW_FILES } from "./test/slow-files.ts";

// Hundreds of processes are started: what one has compiled, the next ones need not.
process.env["NODE_COMPILE_CACHE"] ??= join(import.meta.dirname, ".holdfast/compile-cache");

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/long/**", "test/tunnel/**", "test/proxy/**", ...SLOW_FILES],
    globalSetup: ["test/support/build-worker.ts"],
    // What files share they only read: loading it for each one anew took a fourth of all computing.
    isolate: false,
    // Most files wait more than they compute: for processes to start, for time to pass.
    maxWorkers: 4,
    // Patience, not what is checked: a loaded machine is several times slower.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 15_000 } },
  },
});
