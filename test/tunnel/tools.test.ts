import { createHash, randomFillSync } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Ran } from "../support/run.ts";
import { holdfastRun } from "./support/client.ts";
import { authority, EGRESS, SERVERS } from "./support/hosts.ts";
import { BULK_DEADLINE_MS, DUMP_BYTES, DUMP_ROWS } from "./support/limits.ts";
import { type Mariadb, startMariadb } from "./support/servers/mariadb.ts";
import { APP, type Postgres, startPostgres } from "./support/servers/postgres.ts";
import { type Redis, startRedis } from "./support/servers/redis.ts";
import { type Sftp, startSftp } from "./support/servers/sftp.ts";
import { startTunnel, type TunnelStack } from "./support/stack.ts";

/** The databases' own tools, as they are, under `holdfast run`. */

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

function succeeded({ code, stdout, stderr }: Ran): string {
  expect(code, stderr).toBe(0);
  return stdout;
}

test("node-pg-migrate migrates, up and down", async () => {
  const migrations = join(stack.dir, "migrations");
  mkdirSync(migrations);
  writeFileSync(
    join(migrations, "1700000000000_orders.sql"),
    "-- Up Migration\ncreate table orders (id serial primary key, address inet default inet_client_addr());\n" +
      "insert into orders default values;\n-- Down Migration\ndrop table orders;\n",
  );
  const tool = resolve(import.meta.dirname, "../../node_modules/node-pg-migrate/bin/node-pg-migrate.js");
  const migrate = (way: "up" | "down") =>
    holdfastRun(stack, ["--to", authority("postgres")], [process.execPath, tool, way, "-m", migrations], {
      env: { DATABASE_URL: `${postgres.url}?sslmode=verify-full&sslrootcert=${stack.serverFiles.ca}` },
    });
  succeeded(await migrate("up"));
  const rows = await postgres.sql<{ address: string }>(
    "select host(address) as address from orders",
    [],
    APP.database,
  );
  expect(EGRESS).toContain(rows[0]?.address);
  succeeded(await migrate("down"));
  expect(await postgres.sql("select 1 from pg_tables where tablename = 'orders'", [], APP.database)).toEqual(
    [],
  );
});

test(
  "pg_dump and pg_restore of 500 MB, equal at both ends",
  { timeout: BULK_DEADLINE_MS + 60_000 },
  async () => {
    await postgres.sql(
      `create table big as select id, repeat(md5(id::text), 32) as payload from generate_series(1, ${DUMP_ROWS}) id`,
      [],
      APP.database,
    );
    await postgres.sql(`alter table big owner to ${APP.role}`, [], APP.database);
    await postgres.sql(`create database copy owner ${APP.role}`);
    const sum = (database: string) =>
      postgres.sql<{ bytes: string; hash: string }>(
        "select sum(length(payload)) as bytes, md5(string_agg(md5(payload), '' order by id)) as hash from big",
        [],
        database,
      );
    const start = performance.now();
    const pipe =
      "pg_dump -Fc -Z0 -t big | tee >(wc -c >&2) | pg_restore -d copy --no-owner --single-transaction --exit-on-error";
    const ran = await holdfastRun(
      stack,
      ["--to", authority("postgres")],
      ["bash", "-o", "pipefail", "-c", pipe],
      {
        env: postgres.env,
      },
    );
    const seconds = (performance.now() - start) / 1_000;
    succeeded(ran);
    const dumped = Number(/^(\d{6,})$/m.exec(ran.stderr)![1]);
    expect(dumped).toBeGreaterThan(DUMP_BYTES);
    expect(await sum("copy")).toEqual(await sum(APP.database));
    console.log(
      `pg_dump | pg_restore: ${megabytes(dumped)} MB each way at once in ${seconds.toFixed(1)} s, ${(dumped / 1e6 / seconds).toFixed(1)} MB/s`,
    );
    expect(postgres.addresses().filter((address) => !EGRESS.includes(address))).toEqual([]);
  },
);

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(0);
}

test("mysql's client, with a certificate that must fit", async () => {
  const statements =
    "create table t (id int primary key, v text); insert into t values (1, 'through'); select v from t; select user(); show status like 'Ssl_version'";
  const ran = await holdfastRun(
    stack,
    ["--to", authority("mariadb")],
    ["mariadb", `--defaults-extra-file=${mariadb.options}`, "-sN", "-e", statements],
  );
  const [value, user, version] = succeeded(ran).split("\n");
  expect(value).toBe("through");
  expect(EGRESS.map((address) => `app@${address}`)).toContain(user);
  expect(version).toMatch(/^Ssl_version\tTLSv1\.[23]$/);
});

test("redis-cli, by TLS", async () => {
  const { name, port } = SERVERS.redis;
  const cli = (...command: string[]) =>
    holdfastRun(
      stack,
      ["--to", authority("redis")],
      [
        "redis-cli",
        "--tls",
        "--cacert",
        stack.serverFiles.ca,
        "--sni",
        name,
        "-h",
        name,
        "-p",
        String(port),
        ...command,
      ],
      { env: redis.env },
    );
  expect(succeeded(await cli("set", "key", "value"))).toBe("OK\n");
  expect(succeeded(await cli("get", "key"))).toBe("value\n");
  const address = / addr=([\d.]+):/.exec(succeeded(await cli("client", "info")))![1];
  expect(EGRESS).toContain(address);
});

test("sftp, a file there and back", async () => {
  const local = join(stack.dir, "file");
  const back = join(stack.dir, "file-back");
  const bytes = randomFillSync(Buffer.alloc(64_000_000));
  writeFileSync(local, bytes);
  const batch = join(stack.dir, "batch");
  writeFileSync(batch, `put ${local} there\nget there ${back}\n`);
  const ran = await holdfastRun(
    stack,
    ["--to", authority("sftp")],
    ["sftp", ...sftp.options, "-b", batch, `root@${SERVERS.sftp.name}`],
  );
  succeeded(ran);
  const hash = (file: string) => createHash("sha256").update(readFileSync(file)).digest("hex");
  expect(hash(join(sftp.files, "there"))).toBe(createHash("sha256").update(bytes).digest("hex"));
  expect(hash(back)).toBe(hash(local));
  expect(sftp.addresses().length).toBe(1);
  expect(EGRESS).toContain(sftp.addresses()[0]);
});
