import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { installPackage } from "../support/installed-package.ts";
import type { Ran } from "../support/run.ts";
import { runOnClient } from "./support/client.ts";
import { exampleFolder } from "./support/example-folder.ts";
import { EGRESS } from "./support/hosts.ts";
import { type Postgres, startPostgres } from "./support/servers/postgres.ts";
import { startTunnel, type TunnelStack } from "./support/stack.ts";
import { readWorkflow } from "./support/workflow.ts";

/** examples/github-actions: the `run:` steps of its workflow, in order, each by `bash -e` as a runner does. */

const MIGRATION = `-- Up Migration
create table orders (id bigserial primary key, made_from text default host(inet_client_addr()));
insert into orders default values;
-- Down Migration
drop table orders;
`;

const INSTALLERS = { npm: "ci", sudo: "apt-get install -y --no-install-recommends libnss-wrapper" };

let dir: string;
let folder: string;
let stack: TunnelStack;
let postgres: Postgres;
let secrets: Readonly<Record<string, string>>;
const workflow = () => readWorkflow(readFileSync(join(folder, "ci.yml"), "utf8"));

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "holdfast-actions-"));
  folder = exampleFolder("github-actions", dir);
  stack = await startTunnel();
  postgres = await startPostgres(stack);
  secrets = {
    HOLDFAST_URL: stack.env["HOLDFAST_URL"]!,
    DATABASE_URL: `${postgres.url}?sslmode=verify-full`,
  };
  // The repository that is checked out: a project with a migration, and what its `npm ci` installs.
  await installPackage(folder);
  writeFileSync(
    join(folder, "package.json"),
    JSON.stringify({ name: "shop", private: true, type: "module" }),
  );
  mkdirSync(join(folder, "migrations"));
  writeFileSync(join(folder, "migrations/1763800000000_orders.sql"), MIGRATION);
  mkdirSync(join(dir, "bin"));
  // Nothing can be downloaded here; what these would install is there.
  for (const [name, expected] of Object.entries(INSTALLERS)) {
    writeFileSync(join(dir, "bin", name), `#!/bin/sh\n[ "$*" = "${expected}" ]\n`);
    chmodSync(join(dir, "bin", name), 0o755);
  }
});
afterAll(async () => {
  await stack?.stop(postgres);
  rmSync(dir, { recursive: true, force: true });
});

/** Runs a step on a runner, which lets nobody write /etc/hosts. */
function step(script: string): Promise<Ran> {
  const file = join(dir, "step.sh");
  writeFileSync(file, script);
  const env = Object.entries(workflow().env).map(([name, value]) => {
    const secret = /^\$\{\{ secrets\.(\w+) \}\}$/.exec(value)?.[1];
    return [name, secret === undefined ? value : secrets[secret]!] as const;
  });
  return runOnClient(stack, ["bash", "-e", file], {
    cwd: folder,
    hostsWritable: false,
    env: {
      ...Object.fromEntries(env),
      PATH: `${join(dir, "bin")}:${process.env["PATH"]}`,
      NODE_EXTRA_CA_CERTS: stack.serverFiles.ca,
      GITHUB_STEP_SUMMARY: join(dir, "summary.md"),
    },
  });
}

test("its steps install, look at the relay, and migrate", async () => {
  const { scripts } = workflow();
  expect(scripts.map((script) => script.split("\n")[0])).toEqual([
    "npm ci",
    "npx holdfast doctor --expect-ip 203.0.113.10,203.0.113.20",
    "npx holdfast run -- npx node-pg-migrate up",
  ]);
  for (const script of scripts) expect({ script, ...(await step(script)) }).toMatchObject({ code: 0 });
  const rows = await postgres.sql("select made_from from orders", [], "app");
  expect(rows).toEqual([{ made_from: expect.toBeOneOf([...EGRESS]) }]);
  expect(readFileSync(join(dir, "summary.md"), "utf8")).toBe("migrated\n");
});

test("the job fails before the migration where an address is not the listed one", async () => {
  const [, doctor] = workflow().scripts;
  const { code, stdout, stderr } = await step(doctor!.replace(EGRESS[1]!, "203.0.113.99"));
  expect(code).not.toBe(0);
  expect(stdout + stderr).toContain(EGRESS[1]);
  expect(stdout + stderr).not.toContain(new URL(secrets["HOLDFAST_URL"]!).password);
});

test("the database saw the pool's addresses alone", () => {
  expect([...EGRESS]).toEqual(expect.arrayContaining([...new Set(postgres.addresses())]));
});
