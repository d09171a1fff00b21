import { defineConfig } from "vitest/config";

/** What takes minutes: bulk bodies, memory, and nodes that fall silent or die. CI runs it beside the rest. */
export default defineConfig({
  test: {
    include: ["test/long/**/*.test.ts"],
    globalSetup: ["test/support/build-worker.ts"],
    testTimeout: 400_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 15_000 } },
    fileParallelism: false,
  },
});
