import { networkInterfaces } from "node:os";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runOnClient, runOnEgress } from "./support/client.ts";
import { EGRESS, HOSTS, WIRE } from "./support/hosts.ts";
import { DROPPED_SECONDS } from "./support/limits.ts";
import { type Mariadb, startMariadb } from "./support/servers/mariadb.ts";
import { type Postgres, startPostgres } from "./support/servers/postgres.ts";
import { type Redis, startRedis } from "./support/servers/redis.ts";
import { type Sftp, startSftp } from "./support/servers/sftp.ts";
import { startTunnel, type TunnelStack } from "./support/stack.ts";

/** What the other tests rest on: the servers serve, and whoever goes round the relay finds them shut. */

let stack: TunnelStack;
let postgres: Postgres;
let mariadb: Mariadb;
let redis: Redis;
let sftp: Sftp;

beforeAll(async () => {
  stack = await startTunnel();
  [postgres, mariadb, redis, sftp] = await Promise.all([
    startPostgres(stack),
    startMariadb(stack),
    startRedis(stack),
    startSftp(stack),
  ]);
});

afterAll(() => stack.stop(postgres, mariadb, redis, sftp));

/** Each server's own tool, with what it says when it was let in. */
const tools = (): Readonly<
  Record<string, { command: string[]; env: Record<string, string>; says: RegExp }>
> => ({
  psql: {
    command: ["psql", "-XAtc", "select inet_client_addr()"],
    env: { ...postgres.env, PGCONNECT_TIMEOUT: String(DROPPED_SECONDS) },
    says: /^203\.0\.113\.10\n$/,
  },
  mysql: {
    command: [
      "mariadb",
      `--defaults-extra-file=${mariadb.options}`,
      `--connect-timeout=${DROPPED_SECONDS}`,
      "-sN",
      "-e",
      "select user()",
    ],
    env: {},
    says: /^app@203\.0\.113\.10\n$/,
  },
  "redis-cli": {
    command: [
      "timeout",
      String(DROPPED_SECONDS),
      "redis-cli",
      "--tls",
      "--cacert",
      stack.serverFiles.ca,
      "-h",
      "redis.example.test",
      "-p",
      "6380",
      "client",
      "info",
    ],
    env: { ...redis.env },
    says: / addr=203\.0\.113\.10:/,
  },
  sftp: {
    command: [
      "sftp",
      ...sftp.options,
      `-oConnectTimeout=${DROPPED_SECONDS}`,
      "-b",
      "/dev/null",
      "root@files.example.test",
    ],
    env: {},
    says: /^$/,
  },
});

test("nothing leads out of where these tests run", () => {
  const interfaces = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  const outside = interfaces.filter(({ internal, family }) => !internal && family === "IPv4");
  expect(outside.map(({ address }) => address)).toEqual(["192.0.2.1"]);
});

describe.for(["psql", "mysql", "redis-cli", "sftp"])("%s", (name) => {
  test("is admitted from an egress host", async () => {
    const { command, env, says } = tools()[name]!;
    const { code, stdout, stderr } = await runOnEgress(command, { env });
    expect(stderr).toBe("");
    expect(stdout).toMatch(says);
    expect(code).toBe(0);
  });

  test("is dropped where it goes round the relay", async () => {
    const dropped = async () =>
      Number(/packets (\d+)/.exec(await WIRE.inside("db", ["nft list ruleset"]))![1]);
    const before = await dropped();
    const { command, env } = tools()[name]!;
    const { code, stdout } = await runOnClient(stack, command, { env });
    expect(stdout).toBe("");
    expect(code).not.toBe(0);
    expect(await dropped()).toBeGreaterThan(before);
  });
});

test("PostgreSQL itself admits the egress addresses alone, and by TLS alone", async () => {
  // The firewall is told to let the client through, so that pg_hba.conf stands alone.
  await WIRE.inside("db", [
    `nft insert rule inet filter input ip saddr ${HOSTS.client} accept comment '"a hole"'`,
  ]);
  try {
    const { code, stderr } = await runOnClient(stack, tools()["psql"]!.command, { env: postgres.env });
    expect(stderr).toContain(`no pg_hba.conf entry for host "${HOSTS.client}"`);
    expect(code).toBe(2);
  } finally {
    const handle = /a hole" # handle (\d+)/.exec(await WIRE.inside("db", ["nft -a list ruleset"]))![1]!;
    await WIRE.inside("db", [`nft delete rule inet filter input handle ${handle}`]);
  }
  const plain = await runOnEgress(["psql", "-Xc", "select 1"], {
    env: { ...postgres.env, PGSSLMODE: "disable" },
  });
  expect(plain.stderr).toContain("no encryption");
  expect(new Set(postgres.addresses())).toEqual(new Set([HOSTS.client, EGRESS[0]]));
});
