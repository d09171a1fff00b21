import { execFile } from "node:child_process";
import { chownSync, copyFileSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import pg from "pg";
import { EGRESS, HOSTS, SERVERS } from "../hosts.ts";
import { as, folderOf, startServer, systemUser } from "../server-process.ts";
import type { TunnelStack } from "../stack.ts";

/** A PostgreSQL of the tests' own, which admits the pool's addresses alone, by TLS and with a password. */
export interface Postgres {
  /** What a program is given to connect: the variables that libpq reads. */
  readonly env: Readonly<Record<string, string>>;
  /** `postgres://…` of the same, with sslmode=verify-full left to the program. */
  readonly url: string;
  /** Asks as the superuser, past the relay, by the server's own Unix socket. */
  sql<Row extends pg.QueryResultRow>(
    text: string,
    values?: readonly unknown[],
    database?: string,
  ): Promise<Row[]>;
  /** The address of every connection that came by TCP, admitted or not, since the server was started. */
  addresses(): string[];
  /** Its log. */
  logText(): string;
  stop(): Promise<void>;
}

const { name: HOST, port: PORT } = SERVERS.postgres;

/** A role that owns its database. */
export const APP = { role: "app", password: "correct horse battery", database: "app" } as const;

/** Makes a cluster and starts it. */
export async function startPostgres({ dir, serverFiles }: TunnelStack): Promise<Postgres> {
  const user = await systemUser("postgres");
  const home = folderOf(join(dir, "postgres"), user);
  const data = join(home, "data");
  const bin = newestBin();
  const own = (name: string, from: string): string => {
    const file = join(home, name);
    copyFileSync(from, file);
    chownSync(file, user.uid, user.gid);
    return file;
  };
  const [command, ...args] = as(user) as [string, ...string[]];
  const initdb = [join(bin, "initdb"), "-D", data, "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync"];
  await promisify(execFile)(command, [...args, ...initdb]);
  writeFileSync(
    join(data, "postgresql.auto.conf"),
    settings({
      listen_addresses: HOSTS.db,
      port: PORT,
      unix_socket_directories: home,
      ssl: "on",
      ssl_cert_file: own("cert.pem", serverFiles.cert),
      ssl_key_file: own("key.pem", serverFiles.key),
      ssl_ca_file: own("ca.pem", serverFiles.ca),
      log_connections: "on",
      log_disconnections: "on",
      log_line_prefix: "%m [%p] %h ",
      // What it holds is worth nothing after the test.
      fsync: "off",
      full_page_writes: "off",
      wal_level: "minimal",
      max_wal_senders: 0,
      max_wal_size: "4GB",
      shared_buffers: "256MB",
      // A backend whose client is gone shall be seen to end.
      client_connection_check_interval: "1s",
    }),
  );
  writeFileSync(
    join(data, "pg_hba.conf"),
    [
      "local all postgres trust",
      ...EGRESS.map((address) => `hostssl all all ${address}/32 scram-sha-256`),
      "",
    ].join("\n"),
  );
  const sql = async <Row extends pg.QueryResultRow>(
    text: string,
    values: readonly unknown[] = [],
    database = "postgres",
  ): Promise<Row[]> => {
    const client = new pg.Client({ host: home, port: PORT, user: "postgres", database });
    await client.connect();
    try {
      return (await client.query<Row>(text, [...values])).rows;
    } finally {
      await client.end();
    }
  };
  const { log, stop } = await startServer(
    [...as(user), join(bin, "postgres"), "-D", data],
    join(dir, "postgres.log"),
    async () => (await sql("select 1")).length === 1,
    "SIGINT",
  );
  await sql(`create role ${APP.role} login password '${APP.password}'`);
  await sql(`create database ${APP.database} owner ${APP.role}`);
  const env = {
    PGHOST: HOST,
    PGPORT: String(PORT),
    PGUSER: APP.role,
    PGDATABASE: APP.database,
    PGPASSWORD: APP.password,
    PGSSLMODE: "verify-full",
    PGSSLROOTCERT: serverFiles.ca,
    PGCONNECT_TIMEOUT: "20",
  };
  const logText = () => readFileSync(log, "utf8");
  return {
    env,
    url: `postgres://${APP.role}:${encodeURIComponent(APP.password)}@${HOST}:${PORT}/${APP.database}`,
    sql,
    addresses: () =>
      [...logText().matchAll(/connection received: host=(\d[\d.]*)/g)].map((match) => match[1]!),
    logText,
    stop,
  };
}

/** The programs of the newest version there is; Debian keeps one folder for each. */
export function newestBin(): string {
  const versions = readdirSync("/usr/lib/postgresql").map(Number).filter(Number.isFinite);
  return `/usr/lib/postgresql/${Math.max(...versions)}/bin`;
}

function settings(values: Readonly<Record<string, string | number>>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name} = '${value}'\n`)
    .join("");
}
