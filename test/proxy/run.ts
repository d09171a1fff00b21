import { runSuite } from "../support/suite.ts";
import { SUITE } from "./support/setup.ts";

/**
 * `npm run test:proxy`: the proxy door under the clients that people have, on hosts that are network namespaces. It installs
 * what is missing of them: clients, and what makes hosts of namespaces.
 */
process.exitCode = await runSuite({
  ...SUITE,
  config: "vitest.proxy.config.ts",
  packages: [
    "python3-requests",
    "python3-aiohttp",
    "python3-jwt",
    "python3-cryptography",
    "erlang-base",
    "erlang-inets",
    "erlang-ssl",
    "elixir",
    "default-jdk-headless",
    "golang-go",
    "git",
    "wget",
    "curl",
    "openssl",
    "ca-certificates",
    "nftables",
    "iproute2",
    "util-linux",
  ],
});
