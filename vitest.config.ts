import { defineConfig } from "vitest/config";

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
