import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { promisify } from "node:util";

/** Where a database is reached, and by whom. */
export interface Database {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly name: string;
}

/** What pgbench tells. */
export interface Transactions {
  readonly perSecond: number;
  /** Of one transaction, in milliseconds; with a connection for each the time that this takes as well. */
  readonly latencyMs: number;
}

/** Between two connections: what is opened ahead of the next one has so long. */
const PAUSE_MS = 20;

/**
 * How long it takes to be connected and let in, one at a time with pauses between, in milliseconds.
 * @param file where the script may stand
 */
export async function connectMs(database: Database, seconds: number, file: string): Promise<number> {
  writeFileSync(file, `\\sleep ${PAUSE_MS} ms\nSELECT 1;\n`);
  const said = await pgbench(database, ["-n", "-C", "-c", "1", "-T", String(seconds), "-f", file]);
  return Number(/^average connection time = ([\d.]+) ms/m.exec(said)![1]);
}

/** Makes pgbench's tables. */
export async function fill(database: Database): Promise<void> {
  await pgbench(database, ["-i", "-q", "-s", "1"]);
}

/**
 * Selects by key.
 * @param each whether each transaction opens a connection of its own
 */
export async function select(
  database: Database,
  { clients, seconds, each = false }: { clients: number; seconds: number; each?: boolean },
): Promise<Transactions> {
  const said = await pgbench(database, [
    "-n",
    "-S",
    "-c",
    String(clients),
    "-T",
    String(seconds),
    ...(each ? ["-C"] : []),
  ]);
  if (!/failed transactions: 0 /.test(said)) throw new Error(`pgbench: ${said}`);
  const figure = (pattern: RegExp) => Number(pattern.exec(said)![1]);
  return { perSecond: figure(/^tps = ([\d.]+)/m), latencyMs: figure(/^latency average = ([\d.]+) ms/m) };
}

async function pgbench(
  { host, port, user, password, name }: Database,
  words: readonly string[],
): Promise<string> {
  const args = ["-h", host, "-p", String(port), "-U", user, ...words, name];
  const env = { ...process.env, PGPASSWORD: password, PGSSLMODE: "disable" };
  const { stdout } = await promisify(execFile)("pgbench", args, { env });
  return stdout;
}
