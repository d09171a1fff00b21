/**
 * Tests that take half a minute each, most of it for starting processes and for time to pass: `npm run test:slow`. Without them
 * `npm test` stays under five minutes. CI runs both.
 */
export const SLOW_FILES: readonly string[] = [
  "test/cli/clients.test.ts",
  "test/cli/deliveries.test.ts",
  "test/cli/fetch.test.ts",
  "test/cli/init.test.ts",
  "test/cli/ips.test.ts",
  "test/cli/run.test.ts",
  "test/cli/send.test.ts",
  "test/cli/services.test.ts",
  "test/cli/token.test.ts",
  "test/cli/url.test.ts",
  "test/cli/via.test.ts",
  "test/client/node/sockets.test.ts",
  "test/client/node/spares.test.ts",
  "test/end-to-end/agent.test.ts",
  "test/end-to-end/deliveries-restart.test.ts",
  "test/end-to-end/limits.test.ts",
  "test/end-to-end/refusals-address.test.ts",
  "test/end-to-end/stream-spares.test.ts",
  "test/relay-node/node.test.ts",
  "test/relay-node/old-generation.test.ts",
  "test/relay-node/pool.test.ts",
  "test/relay-node/proxy-tunnels.test.ts",
  "test/relay-node/tcp/trial.test.ts",
  "test/worker/hook-bodies.test.ts",
];
