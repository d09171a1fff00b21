import { join } from "node:path";
import { defineConfig } from "vitest/config";

// Hundreds of processes are started: what one has compiled, the next ones need not.
process.env["NODE_COMPILE_CACHE"] ??= join(import.meta.dirname, ".holdfast/compile-cache");

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/long/**", "test/tunnel/**", "test/proxy/**"],
    globalSetup: ["test/support/build-worker.ts"],
    // Most files wait more than they compute: for processes to start, for time to pass.
    maxWorkers: 3,
    testTimeout: 20_000,
    hookTimeout: 60_000,
  },
});
