import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runOnClient } from "./support/client.ts";
import { EGRESS, type Server, SERVERS } from "./support/hosts.ts";
import { type Mariadb, startMariadb } from "./support/servers/mariadb.ts";
import { APP, type Postgres, startPostgres } from "./support/servers/postgres.ts";
import { type Redis, startRedis } from "./support/servers/redis.ts";
import { startTunnel, type TunnelStack } from "./support/stack.ts";

/** Drivers with the client's hooks, by TLS to real servers that admit the egress addresses alone. */

let stack: TunnelStack;
let postgres: Postgres;
let mariadb: Mariadb;
let redis: Redis;

beforeAll(async () => {
  stack = await startTunnel();
  [postgres, mariadb, redis] = await Promise.all([
    startPostgres(stack),
    startMariadb(stack),
    startRedis(stack),
  ]);
});

afterAll(() => stack.stop(postgres, mariadb, redis));

/** What the app prints; it runs on the client's host, without the tunnel. */
async function runApp(driver: string, server: Server, login: object): Promise<{ address: string }> {
  const { name, port } = SERVERS[server];
  const program = join(import.meta.dirname, "programs/drivers.ts");
  const env = { ...stack.env, SERVER: JSON.stringify({ host: name, port, ...login }) };
  const { code, stdout, stderr } = await runOnClient(stack, [process.execPath, program, driver], { env });
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout) as { address: string };
}

const BULK = 5_000_000;

test("pg", async () => {
  const { role: user, password, database } = APP;
  const said = await runApp("pg", "postgres", { user, password, database });
  expect(said).toEqual({ address: expect.any(String), ssl: true, sent: BULK, got: BULK });
  expect(EGRESS).toContain(said.address);
});

test("mysql2", async () => {
  const login: Record<string, unknown> = Object.fromEntries(
    [...readFileSync(mariadb.options, "utf8").matchAll(/^(user|password)\s*=\s*"?(.*?)"?$/gm)].map(
      ([, name, value]) => [name, value],
    ),
  );
  const said = await runApp("mysql2", "mariadb", login);
  expect(said).toEqual({ address: expect.any(String), sent: BULK, got: BULK });
  expect(EGRESS).toContain(said.address);
});

test("ioredis", async () => {
  const said = await runApp("ioredis", "redis", { password: redis.password });
  expect(said).toEqual({ address: expect.any(String), got: BULK });
  expect(EGRESS).toContain(said.address);
});
