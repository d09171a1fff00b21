import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { Ran } from "../support/run.ts";
import {
  AUTHORITY,
  type ExampleApp,
  startExampleApp,
  terminateAll,
  told,
  untilTold,
} from "./support/example-app.ts";
import { exampleFolder } from "./support/example-folder.ts";
import { EGRESS, HOSTS, SERVERS } from "./support/hosts.ts";
import { ROOT_ENV } from "./support/root.ts";
import { type Redis, startRedis } from "./support/servers/redis.ts";

/** examples/rails-procfile: each line of its Procfile, run by a shell and ended with all of its processes, as on Heroku. */

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

const AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"];

/** Who runs the app, and what that leaves of the ways in which a name can be led to the relay. */
const RUNNERS = [
  { who: "root, who writes /etc/hosts", by: [], env: {}, way: /^$/ },
  { who: "a user with nss_wrapper", by: AS_NOBODY, env: {}, way: /by \/etc\/hosts: EACCES/ },
  {
    who: "a user without it, by the variables of holdfast.toml",
    by: AS_NOBODY,
    // Where nss_wrapper's files can't be made.
    env: { TMPDIR: "/nowhere" },
    way: /by nss_wrapper: /,
  },
] as const;

describe.for(RUNNERS)("as $who", ({ by, env, way }) => {
  const start = (name: string) =>
    app.start([...by, "bash", "-c", lines.get(name)!], {
      PORT: String(PORT),
      PATH: `/app/bin:${ROOT_ENV.PATH}`,
      REDIS_URL: `rediss://:${redis.password}@${SERVERS.redis.name}:${SERVERS.redis.port}/0`,
      REDIS_CA: AUTHORITY,
      ...env,
    });
  const notes = ({ stderr }: Ran) =>
    stderr
      .split("\n")
      .filter((line) => line.includes("don't lead here"))
      .join("\n");

  test("the release phase migrates", async () => {
    const ran = await start("release").ended;
    expect(ran).toMatchObject({ code: 0 });
    expect(notes(ran)).toMatch(way);
    expect(told(ran)).toEqual([{ migrated: true, address: expect.toBeOneOf([...EGRESS]) }]);
  });

  test("the web process serves", async () => {
    const web = start("web");
    await untilTold(web, (one) => one.serving === true);
    const response = await fetch(`http://${HOSTS.client}:${PORT}/`);
    expect(await response.json()).toEqual({ orders: 0, address: expect.toBeOneOf([...EGRESS]) });
    const ran = await terminateAll(web);
    expect([ran.code, told(ran)]).toEqual([0, [{ serving: true }, { drained: true }]]);
  });

  test("the worker takes its jobs from Redis", async () => {
    const worker = start("worker");
    if ("TMPDIR" in env) {
      // The variable holds the listener's address in the name's place, for which no certificate is good: the worker ends by itself.
      const { code, stderr } = await worker.ended;
      expect([code, stderr]).toEqual([1, expect.stringContaining("IP address mismatch")]);
      expect(stderr).toContain("REDIS_URL names an address in its host's place now");
      return;
    }
    const { address } = await untilTold(worker, ({ done = 0 }) => done >= 2);
    expect(EGRESS).toContain(address);
    const ran = await terminateAll(worker);
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
