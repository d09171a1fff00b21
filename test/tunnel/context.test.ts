import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { holdfastRun } from "./support/client.ts";
import { authority, EGRESS, SERVERS, WIRE } from "./support/hosts.ts";
import { PROGRAM_DEADLINE_MS } from "./support/limits.ts";
import { Program } from "./support/program.ts";
import { APP, type Postgres, startPostgres } from "./support/servers/postgres.ts";
import { startTunnel, type TunnelStack } from "./support/stack.ts";
import { run } from "../support/run.ts";

/** One application in every context that one has: the database sees the static address, and no other, from each. */

const APPLICATION = [process.execPath, resolve(import.meta.dirname, "programs/app.ts")];

let stack: TunnelStack;
let postgres: Postgres;

beforeAll(async () => {
  stack = await startTunnel();
  postgres = await startPostgres(stack);
});

afterAll(() => stack.stop(postgres));

function env(): Record<string, string> {
  return { DATABASE_URL: postgres.url, PGSSLROOTCERT: stack.serverFiles.ca };
}

test("server, release command, migration and cron are all seen from the static address", async () => {
  const once = async (context: string) => {
    const { code, stderr } = await holdfastRun(
      stack,
      ["--to", authority("postgres")],
      [...APPLICATION, context],
      {
        env: env(),
      },
    );
    expect(code, `${context}: ${stderr}`).toBe(0);
  };
  await once("migration");
  await once("release");
  const server = new Program(stack, ["--to", authority("postgres")], [...APPLICATION, "server"], {
    env: env(),
  });
  try {
    await server.says(/^listening$/m, PROGRAM_DEADLINE_MS);
    await once("cron");
    const [file, ...args] = WIRE.on("client") as [string, ...string[]];
    const asked = await run(file, [...args, "curl", "-sS", "--fail", "http://127.0.0.1:3000/"]);
    expect(asked.code, asked.stderr).toBe(0);
    expect(EGRESS).toContain(asked.stdout);
    server.child.kill("SIGTERM");
    expect(await server.ended(PROGRAM_DEADLINE_MS)).toEqual({ code: 0 });
  } finally {
    await server.stop();
  }
  const visits = await postgres.sql<{ context: string; address: string }>(
    "select context, address from visits order by context",
    [],
    APP.database,
  );
  expect(visits.map(({ context }) => context)).toEqual(["cron", "migration", "release", "server"]);
  for (const { context, address } of visits) expect(EGRESS, context).toContain(address);
  // The server's own word, of every connection there was.
  expect(postgres.addresses().filter((address) => !EGRESS.includes(address))).toEqual([]);
});

/** What a user of QuotaGuard's brings along, and where the program connects to. */
const FILES = [
  {
    what: "accept names the host itself",
    file: `[qgtunnel.0]\naccept = "${authority("postgres")}"\nconnect = "${authority("postgres")}"\nencrypted = false\n`,
    host: SERVERS.postgres.name,
    port: 5_432,
  },
  {
    what: "accept is a local port",
    file: `[qgtunnel.database]\naccept = "127.0.0.1:3306"\nconnect = "${authority("postgres")}"\ntransparent = false\n`,
    host: "127.0.0.1",
    port: 3_306,
  },
  {
    what: "transparent",
    file: `[qgtunnel.database]\naccept = "${authority("postgres")}"\nconnect = "${authority("postgres")}"\ntransparent = true\n`,
    host: SERVERS.postgres.name,
    port: 5_432,
  },
];

const SELECT = ["psql", "-XAtc", "select host(inet_client_addr())"];

test.for(FILES)("a .qgtunnel file is taken as it is: $what", async ({ what, file, host, port }) => {
  const folder = join(stack.dir, what.replaceAll(" ", "-"));
  mkdirSync(folder);
  writeFileSync(join(folder, ".qgtunnel"), file);
  const { code, stdout, stderr } = await holdfastRun(stack, [], SELECT, {
    cwd: folder,
    env: {
      ...postgres.env,
      PGHOST: host,
      PGPORT: String(port),
      // A certificate can't fit an address.
      ...(host === "127.0.0.1" && { PGSSLMODE: "verify-ca" }),
    },
  });
  expect(code, stderr).toBe(0);
  expect(EGRESS).toContain(stdout.trim());
});

test("QGTUNNEL_DESTINATIONS is enough", async () => {
  const { code, stdout, stderr } = await holdfastRun(stack, [], SELECT, {
    env: { ...postgres.env, QGTUNNEL_DESTINATIONS: authority("postgres") },
  });
  expect(code, stderr).toBe(0);
  expect(EGRESS).toContain(stdout.trim());
});
