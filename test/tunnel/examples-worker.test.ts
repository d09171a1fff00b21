import { appendFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { installPackage } from "../support/installed-package.ts";
import { exampleFolder } from "./support/example-folder.ts";
import { EGRESS } from "./support/hosts.ts";
import { type Postgres, startPostgres } from "./support/servers/postgres.ts";
import { startTunnel, type TunnelStack } from "./support/stack.ts";
import { startWorkerOnHost, type WorkerOnHost } from "./support/worker-on-host.ts";

/** examples/worker-neon, with the package as it is published: bundled by wrangler and run in workerd. */

let dir: string;
let stack: TunnelStack;
let postgres: Postgres;
let worker: WorkerOnHost;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "holdfast-worker-"));
  const folder = exampleFolder("worker-neon", dir);
  stack = await startTunnel();
  postgres = await startPostgres(stack);
  await admitWithoutTls();
  await postgres.sql("create table orders (id bigserial primary key, made_by text not null)", [], "app");
  await postgres.sql("grant all on orders, orders_id_seq to app", [], "app");
  await installPackage(folder);
  worker = await startWorkerOnHost({
    folder,
    host: "client",
    port: 8787,
    secrets: { HOLDFAST_URL: stack.env["HOLDFAST_URL"]!, DATABASE_URL: postgres.url },
    ca: readFileSync(stack.serverFiles.ca, "utf8"),
  });
});
afterAll(async () => {
  await stack?.stop(worker, postgres);
  rmSync(dir, { recursive: true, force: true });
});

/** What the example's README asks for: the driver speaks no TLS of its own. */
async function admitWithoutTls(): Promise<void> {
  const [row] = await postgres.sql<{ hba_file: string }>("show hba_file");
  const lines = EGRESS.map((address) => `hostnossl all all ${address}/32 scram-sha-256\n`);
  appendFileSync(row!.hba_file, lines.join(""));
  await postgres.sql("select pg_reload_conf()");
}

const orders = (init?: RequestInit) => fetch(`${worker.url}/orders`, init);

test("writes and reads, each from the relay's address", async () => {
  const made = await orders({ method: "POST" });
  expect([made.status, await made.json()]).toEqual([201, { id: "1" }]);
  const read = await orders();
  expect(await read.json()).toEqual({ orders: 1, address: expect.toBeOneOf([...EGRESS]) });
});

test("serves requests at once, each by a connection of its own", async () => {
  const made = await Promise.all(Array.from({ length: 8 }, () => orders({ method: "POST" })));
  const ids = await Promise.all(made.map(async (one) => ((await one.json()) as { id: string }).id));
  expect(ids.map(Number).toSorted((a, b) => a - b)).toEqual([2, 3, 4, 5, 6, 7, 8, 9]);
});

test("leaves no connection behind", async () => {
  const open = "select count(*)::int as open from pg_stat_activity where usename = 'app'";
  await expect.poll(() => postgres.sql(open), { timeout: 10_000 }).toEqual([{ open: 0 }]);
  expect([...EGRESS]).toEqual(expect.arrayContaining([...new Set(postgres.addresses())]));
});
