import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import {
  AUTHORITY,
  type ExampleApp,
  startExampleApp,
  terminate,
  told,
  untilTold,
} from "./support/example-app.ts";
import { exampleFolder } from "./support/example-folder.ts";
import { EGRESS, HOSTS, SERVERS } from "./support/hosts.ts";
import { type Redis, startRedis } from "./support/servers/redis.ts";

/** examples/rails-procfile: each line of its Procfile, run by a shell as platforms with a Procfile do. */

const dir = mkdtempSync(join(tmpdir(), "holdfast-procfile-"));
const EXAMPLE = exampleFolder("rails-procfile", dir);
const PORT = 8080;

/** Name and command of each line. */
const lines = new Map(
  readFileSync(join(EXAMPLE, "Procfile"), "utf8")
    .trim()
    .split("\n")
    .map((line) => line.split(/: (.*)/) as [string, string]),
);

let app: ExampleApp;
let redis: Redis;
beforeAll(async () => {
  app = await startExampleApp("rails", "/app", EXAMPLE);
  redis = await startRedis(app.stack);
});
afterEach(() => app.endAll());
afterAll(async () => {
  await app?.stop(redis);
  rmSync(dir, { recursive: true });
});

/** Who runs the app: root writes /etc/hosts, a dyno's user does not. */
const USERS = {
  root: [],
  nobody: ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"],
} as const;

describe.for(["root", "nobody"] as const)("as %s", (user) => {
  const start = (name: string, env?: Readonly<Record<string, string>>) =>
    app.start([...USERS[user], "sh", "-c", lines.get(name)!], {
      PORT: String(PORT),
      PATH: "/app/bin:/usr/local/bin:/usr/bin:/bin",
      REDIS_URL: `rediss://:${redis.password}@${SERVERS.redis.name}:${SERVERS.redis.port}/0`,
      REDIS_CA: AUTHORITY,
      ...env,
    });

  test("the release phase migrates", async () => {
    const ran = await start("release").ended;
    expect(ran).toMatchObject({ code: 0 });
    expect(told(ran)).toEqual([{ migrated: true, address: expect.toBeOneOf([...EGRESS]) }]);
  });

  test("the web process serves", async () => {
    const web = start("web");
    await untilTold(web, (one) => one.serving === true);
    const response = await fetch(`http://${HOSTS.client}:${PORT}/`);
    expect(await response.json()).toEqual({ orders: 0, address: expect.toBeOneOf([...EGRESS]) });
    const ran = await terminate(web);
    expect([ran.code, told(ran)]).toEqual([0, [{ serving: true }, { drained: true }]]);
  });

  test("the worker takes its jobs from Redis", async () => {
    const worker = start("worker");
    const { address } = await untilTold(worker, ({ done = 0 }) => done >= 2);
    expect(EGRESS).toContain(address);
    const ran = await terminate(worker);
    expect([ran.code, told(ran).at(-1)]).toEqual([0, { drained: true }]);
  });
});

test("the Procfile has no other line, and each is wrapped", () => {
  expect([...lines.keys()]).toEqual(["release", "web", "worker"]);
  for (const command of lines.values()) expect(command).toMatch(/^holdfast run -- /);
});

test("the database saw the pool's addresses alone", () => {
  expect([...EGRESS]).toEqual(expect.arrayContaining([...new Set(app.postgres.addresses())]));
});
