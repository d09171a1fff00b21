import { defineConfig } from "vitest/config";

/** The tunnel under real servers and tools, in namespaces: `npm run test:tunnel` makes those and starts this. */
export default defineConfig({
  test: {
    include: ["test/tunnel/**/*.test.ts"],
    globalSetup: ["test/support/build-worker.ts", "test/tunnel/support/setup.ts"],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 15_000 } },
    fileParallelism: false,
  },
});
