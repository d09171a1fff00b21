import { execFile } from "node:child_process";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { holdfastRun, runOnClient } from "./support/client.ts";
import { authority, EGRESS } from "./support/hosts.ts";
import { startPeer, type Peer } from "./support/peer.ts";
import { type Postgres, startPostgres } from "./support/servers/postgres.ts";
import { type Redis, startRedis } from "./support/servers/redis.ts";
import { HOLDFAST, startTunnel, type TunnelStack } from "./support/stack.ts";

/** Programs of every kind find the server by its own name, and the server sees the static address. */

const PROGRAMS = resolve(import.meta.dirname, "programs");

let stack: TunnelStack;
let postgres: Postgres;
let redis: Redis;
let peer: Peer;
let staticProgram: string;

beforeAll(async () => {
  stack = await startTunnel();
  [postgres, redis, peer] = await Promise.all([startPostgres(stack), startRedis(stack), startPeer()]);
  staticProgram = join(stack.dir, "static-program");
  await promisify(execFile)("go", ["build", "-o", staticProgram, "main.go"], {
    cwd: join(PROGRAMS, "static"),
    env: { ...process.env, CGO_ENABLED: "0", GO111MODULE: "off", GOFLAGS: "" },
  });
});

afterAll(() => stack.stop(postgres, redis, peer));

/** Runs a program under `holdfast run`; returns what it wrote, which must be all that it had to say. */
async function output(
  flags: readonly string[],
  command: readonly string[],
  options: { env?: Readonly<Record<string, string>>; hostsWritable?: boolean } = {},
): Promise<string> {
  const { code, stdout, stderr } = await holdfastRun(stack, flags, command, options);
  expect(code, stderr).toBe(0);
  return stdout.trim();
}

/** All ways of making a name lead to the agent, with the flags that choose them and whether /etc/hosts can be written. */
const WAYS = [
  { way: "hosts", flags: ["--names", "hosts"], hostsWritable: true },
  { way: "what it chooses itself", flags: [], hostsWritable: true },
  { way: "nss", flags: ["--names", "nss"], hostsWritable: false },
  { way: "what it chooses where hosts can't be written", flags: [], hostsWritable: false },
  { way: "env", flags: ["--names", "env", "--env", "DATABASE_URL"], hostsWritable: false },
] as const;

describe.for(WAYS)("by $way", ({ way, flags, hostsWritable }) => {
  const to = ["--to", authority("postgres"), ...flags];

  test("psql connects with sslmode=verify-full", async () => {
    // The variable is the only place where a rewritten name can stand.
    const target = way === "env" ? 'psql "$DATABASE_URL" -XAtc "$0"' : 'psql -XAtc "$0"';
    const seen = await output(
      to,
      [
        "sh",
        "-c",
        target,
        "select host(inet_client_addr()), ssl from pg_stat_ssl where pid = pg_backend_pid()",
      ],
      {
        env: { ...postgres.env, DATABASE_URL: `${postgres.url}?sslmode=verify-full` },
        hostsWritable,
      },
    );
    const [address, ssl] = seen.split("|");
    expect(EGRESS).toContain(address);
    expect(ssl).toBe("t");
  });

  test("a Python program connects", async () => {
    const env = {
      DATABASE_URL: `${postgres.url}?sslmode=verify-full`,
      PGSSLROOTCERT: stack.serverFiles.ca,
    };
    const seen = await output(to, ["/usr/bin/python3", join(PROGRAMS, "app.py")], { env, hostsWritable });
    expect(EGRESS).toContain(seen);
  });
});

test.for(WAYS.filter(({ way }) => way !== "env"))(
  "a Node program connects by $way",
  async ({ flags, hostsWritable }) => {
    const env = { DATABASE_URL: postgres.url, PGSSLROOTCERT: stack.serverFiles.ca };
    const seen = await output(
      ["--to", authority("postgres"), ...flags],
      [process.execPath, join(PROGRAMS, "app.ts"), "address"],
      { env, hostsWritable },
    );
    expect(EGRESS).toContain(seen);
  },
);

test("a static program connects by /etc/hosts", async () => {
  const seen = await output(
    ["--to", authority("redis")],
    [staticProgram, authority("redis"), stack.serverFiles.ca],
    {
      env: redis.env,
    },
  );
  expect(EGRESS).toContain(seen.split(":")[0]);
});

test("the static busybox connects by /etc/hosts", async () => {
  const seen = await output(
    ["--to", authority("http")],
    ["busybox", "wget", "-qO-", `http://${authority("http")}/`],
  );
  expect(EGRESS).toContain(seen);
});

test("many servers each have their name, and /etc/hosts is as it was when the program has ended", async () => {
  const visit = [
    'psql -XAtc "select host(inet_client_addr())"',
    `busybox wget -qO- http://${authority("http")}/`,
    "grep -c example.test /etc/hosts",
  ].join(" && ");
  const to = `${authority("postgres")},${authority("http")}`;
  const { code, stdout, stderr } = await runOnClient(
    stack,
    ["sh", "-c", '"$@" && cat /etc/hosts', "sh", ...HOLDFAST, "run", "--to", to, "--", "sh", "-c", visit],
    { env: { ...stack.env, ...postgres.env } },
  );
  expect(code, stderr).toBe(0);
  const [database, plain, lines, ...after] = stdout.split("\n");
  expect(EGRESS).toContain(database);
  expect(EGRESS).toContain(plain);
  expect(Number(lines)).toBeGreaterThanOrEqual(2);
  expect(after).toEqual(["127.0.0.1 localhost", ""]);
});
