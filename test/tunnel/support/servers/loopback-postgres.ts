import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import pg from "pg";
import { END_DEADLINE_MS, START_DEADLINE_MS } from "../limits.ts";
import { as, folderOf, systemUser } from "../server-process.ts";
import { until } from "../until.ts";
import { newestBin } from "./postgres.ts";

/** A PostgreSQL on this process' own loopback. */
export interface LoopbackPostgres {
  readonly port: number;
  /** `postgres://user:password@127.0.0.1:port/postgres` */
  readonly url: string;
  stop(): Promise<void>;
}

const [USER, PASSWORD] = ["postgres", "open sesame"];

/**
 * Makes a cluster in a folder that vanishes with it, and starts it.
 * @param addresses who may connect, with a password: all others are refused
 */
export async function startLoopbackPostgres(
  port: number,
  addresses: readonly string[],
): Promise<LoopbackPostgres> {
  const user = await systemUser("postgres");
  const dir = mkdtempSync(join(tmpdir(), "holdfast-postgres-"));
  // The server runs as a user of its own, in a folder of its own.
  chmodSync(dir, 0o711);
  const home = folderOf(join(dir, "postgres"), user);
  const data = join(home, "data");
  const [command, ...args] = as(user) as [string, ...string[]];
  const bin = newestBin();
  const initdb = [join(bin, "initdb"), "-D", data, "-U", USER, "-E", "UTF8", "--locale=C", "--no-sync"];
  await promisify(execFile)(command, [...args, ...initdb]);
  const admitted = addresses.map((address) => `host all all ${address}/32 password`);
  writeFileSync(join(data, "pg_hba.conf"), ["local all all trust", ...admitted, ""].join("\n"));
  const settings = [
    "listen_addresses=127.0.0.1",
    `port=${port}`,
    `unix_socket_directories=${home}`,
    "fsync=off",
  ];
  const log = openSync(join(dir, "log"), "a", 0o600);
  const server = spawn(
    command,
    [...args, join(bin, "postgres"), "-D", data, ...settings.flatMap((setting) => ["-c", setting])],
    { stdio: ["ignore", log, log] },
  );
  closeSync(log);
  const gone = once(server, "exit");
  const stop = async () => {
    server.kill("SIGINT");
    const timer = setTimeout(() => server.kill("SIGKILL"), END_DEADLINE_MS);
    if (server.exitCode === null && server.signalCode === null) await gone;
    clearTimeout(timer);
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    await until("PostgreSQL serves", START_DEADLINE_MS, async () => {
      const client = new pg.Client({ host: home, port, user: USER, database: "postgres" });
      await client.connect();
      await client.query(`alter role ${USER} password '${PASSWORD}'`);
      await client.end();
      return true;
    });
  } catch (cause) {
    const said = readFileSync(join(dir, "log"), "utf8").slice(-1_000);
    await stop();
    throw new Error(`PostgreSQL: ${said}`, { cause });
  }
  return {
    port,
    url: `postgres://${USER}:${encodeURIComponent(PASSWORD)}@127.0.0.1:${port}/postgres`,
    stop,
  };
}
