import { runSuite } from "../support/suite.ts";
import { SUITE } from "./support/setup.ts";

/**
 * `npm run test:tunnel`: real databases, and the tools that speak to them, on hosts that are network namespaces. It installs
 * what is missing of them: servers, the tools that speak to them, and what makes hosts of namespaces.
 */
process.exitCode = await runSuite({
  ...SUITE,
  config: "vitest.tunnel.config.ts",
  packages: [
    "postgresql",
    "postgresql-client",
    "mariadb-server",
    "mariadb-client",
    "redis-server",
    "redis-tools",
    "openssh-server",
    "openssh-client",
    "openssl",
    "libnss-wrapper",
    "tini",
    "python3-psycopg2",
    "busybox-static",
    "golang-go",
    "nftables",
    "iproute2",
    "util-linux",
    "curl",
  ],
});
