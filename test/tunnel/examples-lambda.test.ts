import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { installPackage } from "../support/installed-package.ts";
import { type ModuleOnHost, startModule } from "../support/module-on-host.ts";
import { exampleFolder } from "./support/example-folder.ts";
import { authority, EGRESS, HOSTS, POOL, SERVERS, WIRE } from "./support/hosts.ts";
import { type Postgres, startPostgres } from "./support/servers/postgres.ts";
import { startTunnel, type TunnelStack } from "./support/stack.ts";

/** examples/lambda, with the package as it is published, called as Lambda's runtime calls it. */

const BANK = SERVERS.witness;
const support = (name: string) => resolve(import.meta.dirname, "support", name);

let dir: string;
let folder: string;
let stack: TunnelStack;
let postgres: Postgres;
let bank: ModuleOnHost;
let lambda: ModuleOnHost;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "holdfast-lambda-"));
  folder = exampleFolder("lambda", dir);
  stack = await startTunnel(POOL, {
    allow: [`https://${BANK.name}:${BANK.port}/v1/*`, `tcp://${authority("postgres")}`],
  });
  postgres = await startPostgres(stack);
  await postgres.sql("create table bookings (id serial, made_for text, rate numeric)", [], "app");
  await postgres.sql("grant all on bookings, bookings_id_seq to app", [], "app");
  const { cert, key } = stack.serverFiles;
  bank = await startModule(WIRE, "db", support("rates-server.ts"), [HOSTS.db, String(BANK.port), cert, key]);
  await installPackage(folder);
  lambda = await instance(`https://${BANK.name}:${BANK.port}/v1/rates`);
});
afterAll(async () => {
  lambda?.process.kill("SIGCONT");
  await stack?.stop(lambda, bank, postgres);
  rmSync(dir, { recursive: true, force: true });
});

/** An instance of the function: a process of its own. */
function instance(ratesUrl: string): Promise<ModuleOnHost> {
  return startModule(WIRE, "client", support("lambda-runtime.ts"), [folder, "index.handler"], {
    PATH: process.env["PATH"],
    HOLDFAST_URL: stack.env["HOLDFAST_URL"],
    NODE_EXTRA_CA_CERTS: stack.serverFiles.ca,
    DATABASE_URL: `${postgres.url}?sslmode=verify-full`,
    RATES_URL: ratesUrl,
  });
}

interface Answer {
  readonly statusCode: number;
  readonly body: string;
}

async function invoke(order: string, by = lambda): Promise<{ status: number; body: unknown }> {
  const { statusCode, body } = await by.ask<Answer>({ order });
  return { status: statusCode, body: JSON.parse(body) };
}

/** Lambda stops an instance that has nothing to do, and lets it go on with the next event. */
async function freeze(seconds: number): Promise<void> {
  lambda.process.kill("SIGSTOP");
  await sleep(seconds * 1_000);
  lambda.process.kill("SIGCONT");
}

const booked = (id: number) => ({
  status: 201,
  body: { id, rate: 1.0825, address: expect.toBeOneOf([...EGRESS]) },
});

test("a cold start calls the bank and the database from the relay's addresses", async () => {
  expect(await invoke("first")).toEqual(booked(1));
  expect(EGRESS).toEqual(expect.arrayContaining(await bank.ask<string[]>({})));
});

test("warm ones go on with what the first has opened", async () => {
  const before = postgres.addresses().length;
  expect([await invoke("second"), await invoke("third")]).toEqual([booked(2), booked(3)]);
  expect(postgres.addresses().length - before).toBeLessThanOrEqual(1);
});

test.each([2, 45])("an instance that was frozen for %d s takes the next event", async (seconds) => {
  await invoke(`before ${seconds}`);
  await freeze(seconds);
  expect(await invoke(`after ${seconds}`)).toMatchObject({ status: 201 });
});

test("what the relay refuses is told by its code, and nothing is booked", async () => {
  const other = await instance(`https://${BANK.name}:${BANK.port}/v2/rates`);
  try {
    expect(await invoke("refused", other)).toEqual({ status: 500, body: { error: "target_not_allowed" } });
  } finally {
    await other.stop();
  }
});

test("every booking is there once, and the database saw the pool's addresses alone", async () => {
  const rows = await postgres.sql<{ made_for: string; times: number }>(
    "select made_for, count(*)::int as times from bookings group by 1 order by 1",
    [],
    "app",
  );
  expect(rows.map(({ made_for: name, times }) => [name, times])).toEqual(
    ["after 2", "after 45", "before 2", "before 45", "first", "second", "third"].map((name) => [name, 1]),
  );
  expect([...EGRESS]).toEqual(expect.arrayContaining([...new Set(postgres.addresses())]));
});
