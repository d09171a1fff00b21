import { defineConfig } from "vitest/config";

/** The proxy door under real clients, in namespaces: `npm run test:proxy` makes those and starts this. */
export default defineConfig({
  test: {
    include: ["test/proxy/**/*.test.ts"],
    globalSetup: ["test/support/build-worker.ts", "test/proxy/support/setup.ts"],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 15_000 } },
    fileParallelism: false,
  },
});
