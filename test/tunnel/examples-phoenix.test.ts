import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "smol-toml";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { generateClientKey } from "../../protocol/keys.ts";
import { type ExampleApp, startExampleApp, terminate, told, untilTold } from "./support/example-app.ts";
import { exampleFolder } from "./support/example-folder.ts";
import { EGRESS, HOSTS } from "./support/hosts.ts";
import { DROPPED_SECONDS } from "./support/limits.ts";

/** examples/phoenix-release: the commands of its fly.toml, in a container laid out as its Dockerfile lays out the image. */

const dir = mkdtempSync(join(tmpdir(), "holdfast-phoenix-"));
const EXAMPLE = exampleFolder("phoenix-release", dir);

interface FlyToml {
  readonly env: Readonly<Record<string, string>>;
  readonly deploy: { readonly release_command: string };
  readonly processes: Readonly<Record<string, string>>;
  readonly http_service: {
    readonly internal_port: number;
    readonly checks: readonly { readonly path: string }[];
  };
}

const read = (name: string) => readFileSync(join(EXAMPLE, name), "utf8");
const dockerfile = read("Dockerfile");
const fly = parse(read("fly.toml")) as unknown as FlyToml;
const entrypoint = JSON.parse(/^ENTRYPOINT (.*)$/m.exec(dockerfile)![1]!) as string[];
const folder = /^WORKDIR (.*)$/m.exec(dockerfile)![1]!;

let app: ExampleApp;
beforeAll(async () => {
  app = await startExampleApp("phoenix", folder, join(EXAMPLE, "rel/overlays"));
});
afterEach(() => app.endAll());
afterAll(async () => {
  await app?.stop();
  rmSync(dir, { recursive: true });
});

/** Starts a command as Fly does: its words behind the image's entrypoint, with what `[env]` sets. */
const start = (command: string, env?: Readonly<Record<string, string>>) =>
  app.start([...entrypoint, ...command.split(" ")], { ...fly.env, ...env });

test("the release command migrates, from the relay's address", async () => {
  const ran = await start(fly.deploy.release_command).ended;
  expect(ran).toMatchObject({ code: 0 });
  expect(told(ran)).toEqual([{ migrated: true, address: expect.toBeOneOf([...EGRESS]) }]);
  const orders = await app.postgres.sql("select count(*)::int as orders from orders", [], "app");
  expect(orders).toEqual([{ orders: 0 }]);
});

test("a release command that fails stops the release by its exit code", async () => {
  const { code, stderr } = await start(fly.deploy.release_command, { DATABASE_URL: "dbname=" }).ended;
  expect([code, stderr]).toEqual([1, expect.stringContaining("psycopg2.OperationalError")]);
});

test("the server answers with what the database says, and drains when it is told to end", async () => {
  const web = start(fly.processes["web"]!);
  await untilTold(web, (one) => one.serving === true);
  const { internal_port: port, checks } = fly.http_service;
  const response = await fetch(`http://${HOSTS.client}:${port}${checks[0]!.path}`);
  expect(await response.json()).toEqual({ orders: 0, address: expect.toBeOneOf([...EGRESS]) });
  const ran = await terminate(web);
  expect([ran.code, told(ran)]).toEqual([0, [{ serving: true }, { drained: true }]]);
});

test("the worker keeps one connection, and drains when it is told to end", async () => {
  const worker = start(fly.processes["worker"]!);
  await untilTold(worker, ({ done = 0 }) => done >= 3);
  const ran = await terminate(worker);
  const lines = told(ran);
  expect([ran.code, lines.at(-1)]).toEqual([0, { drained: true }]);
  const addresses = new Set(lines.slice(0, -1).map(({ address }) => address));
  expect([...addresses]).toEqual([expect.toBeOneOf([...EGRESS])]);
});

test("without holdfast the same command reaches nothing", async () => {
  const bare = fly.deploy.release_command.replace(/^holdfast run -- /, "");
  const { code, stderr } = await start(bare, { PGCONNECT_TIMEOUT: String(DROPPED_SECONDS) }).ended;
  expect([code, stderr]).toEqual([1, expect.stringContaining("timeout expired")]);
});

test("a key that the relay doesn't know stops the release before anything is started", async () => {
  const { privateKey } = await generateClientKey();
  const url = app.stack.env["HOLDFAST_URL"]!.replace(/:[^:@]+@/, `:${privateKey}@`);
  const { code, stdout, stderr } = await start(fly.deploy.release_command, { HOLDFAST_URL: url }).ended;
  expect([code === 0, stdout]).toEqual([false, ""]);
  expect(stderr).toContain("token_signature");
  expect(stderr).not.toContain(privateKey);
});

test("the database saw the pool's addresses alone", () => {
  expect([...EGRESS]).toEqual(expect.arrayContaining([...new Set(app.postgres.addresses())]));
});
